/* modules: base text proof tensor tokenizer corpus model train infer serve */
#include "serve/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bodies of both kinds of request. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int chat = 0; chat < 2; chat++) {
        struct error error = {0};
        struct arena *arena = NULL;
        struct api_request request;
        struct api_error problem = {0};
        if (arena_create(&arena, 64 << 20, &error) != OK)
            return 0;
        if (api_parse(&request, &problem, chat, (struct view){(const char *)data, size}, "m",
                      arena))
            ASSERT(sampling_check(
                       &(struct sampling){.temperature = request.sampling.temperature,
                                          .top_p = request.sampling.top_p,
                                          .min_p = request.sampling.min_p,
                                          .top_k = request.sampling.top_k,
                                          .repetition_penalty = request.sampling.repetition_penalty,
                                          .max_tokens = request.sampling.max_tokens},
                       &error) == OK);
        else
            ASSERT(problem.http >= 400 && problem.http < 500 && problem.message[0]);
        arena_destroy(arena);
    }
    return 0;
}
