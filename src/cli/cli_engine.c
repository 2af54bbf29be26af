#include "cli/cli_engine.h"

status cli_engine_open(struct cli_engine *out, const char *path, int threads, struct error *error)
{
    ASSERT(out && path && error);
    struct cli_engine engine = {0};
    TRY(arena_create(&engine.arena, 0, error));
    status result = compute_create(&engine.compute, threads, error);
    if (result == OK)
        result = engine_open(&engine.engine, path, engine.compute, engine.arena, error);
    if (result == OK)
        *out = engine;
    else
        cli_engine_close(&engine);
    return result;
}

void cli_engine_close(struct cli_engine *engine)
{
    compute_destroy(engine->compute);
    arena_destroy(engine->arena);
    *engine = (struct cli_engine){0};
}
