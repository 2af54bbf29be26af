"""A tokenizer.json as a model of llama.cpp: writes the smallest GGUF that loads, and asks the library
inside the package xllamacpp for ids."""
import ctypes
import json
import struct

WIDTH = 32
UINT32, INT32, FLOAT32, STRING, ARRAY, BOOL = 4, 5, 6, 8, 9, 7
NORMAL, CONTROL = 1, 3


def packed(text):
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    if kind == STRING:
        return packed(content)
    if kind == ARRAY:
        inner, items = content
        return struct.pack("<IQ", inner, len(items)) + b"".join(value(inner, item) for item in items)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], content)


def tensors(vocabulary):
    square, row = (WIDTH, WIDTH), (WIDTH,)
    names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    return ([("token_embd.weight", (WIDTH, vocabulary)), ("output_norm.weight", row)]
            + [(f"blk.0.{name}.weight", square) for name in names]
            + [(f"blk.0.{name}.weight", row) for name in ("attn_norm", "ffn_norm")])


def write(path, tokens, kinds, merges, pre, end_id):
    keys = [("general.architecture", STRING, "llama"), ("llama.context_length", UINT32, 64),
            ("llama.embedding_length", UINT32, WIDTH), ("llama.block_count", UINT32, 1),
            ("llama.feed_forward_length", UINT32, WIDTH), ("llama.attention.head_count", UINT32, 1),
            ("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
            ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, pre),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.token_type", ARRAY, (INT32, kinds)),
            ("tokenizer.ggml.merges", ARRAY, (STRING, merges)),
            ("tokenizer.ggml.bos_token_id", UINT32, end_id), ("tokenizer.ggml.eos_token_id", UINT32, end_id),
            ("tokenizer.ggml.add_bos_token", BOOL, False)]
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors(len(tokens))), len(keys))
    for name, kind, content in keys:
        head += packed(name) + struct.pack("<I", kind) + value(kind, content)
    offset = 0
    for name, shape in tensors(len(tokens)):
        head += packed(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", 0, offset)
        size = 4
        for extent in shape:
            size *= extent
        offset += size  # a multiple of the alignment, 32, since WIDTH is
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % 32) + bytes(offset))


def write_from_json(path, tokenizer_path):
    with open(tokenizer_path, encoding="utf-8") as file:
        root = json.load(file)
    vocabulary = root["model"]["vocab"]
    special = {item["content"]: item["id"] for item in root["added_tokens"]}
    texts = {index: text for text, index in list(vocabulary.items()) + list(special.items())}
    tokens = [texts[index] for index in range(len(texts))]
    kinds = [CONTROL if text in special else NORMAL for text in tokens]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in root["model"]["merges"]]
    write(path, tokens, kinds, merges, "qwen2", special["<|endoftext|>"])


def read(path):
    """The keys of a GGUF file, for vocabularies that others made."""
    with open(path, "rb") as file:
        data = file.read()
    at = 4

    def take(form):
        nonlocal at
        found = struct.unpack_from("<" + form, data, at)[0]
        at += struct.calcsize("<" + form)
        return found

    def text():
        nonlocal at
        length = take("Q")
        at += length
        return data[at - length:at].decode("utf-8")

    def item(kind):
        if kind == STRING:
            return text()
        if kind == ARRAY:
            inner, count = take("I"), take("Q")
            return [item(inner) for _ in range(count)]
        return take({0: "B", 1: "b", 2: "H", 3: "h", UINT32: "I", INT32: "i", FLOAT32: "f", BOOL: "?",
                     10: "Q", 11: "q", 12: "d"}[kind])

    take("I"), take("Q")
    keys = {}
    for _ in range(take("Q")):
        name = text()
        keys[name] = item(take("I"))
    return keys


class Opaque(ctypes.Structure):
    """A struct whose fields we don't name: as large as any version's."""
    _fields_ = [("bytes", ctypes.c_byte * 1024)]


class Llama:
    """The ids of llama.cpp for a GGUF file."""

    def __init__(self, path):
        import xllamacpp.xllamacpp as module
        self.version = __import__("xllamacpp").__version__
        self.library = library = ctypes.CDLL(module.__file__)
        library.llama_model_default_params.restype = Opaque
        library.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Opaque]
        library.llama_model_load_from_file.restype = ctypes.c_void_p
        library.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        library.llama_model_get_vocab.restype = ctypes.c_void_p
        library.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p,
                                           ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        library.llama_log_set(self.quiet, None)
        library.llama_backend_init()
        model = library.llama_model_load_from_file(path.encode(), library.llama_model_default_params())
        if not model:
            raise SystemExit(f"llama.cpp does not load {path}")
        self.vocabulary = library.llama_model_get_vocab(model)
        self.room = (ctypes.c_int32 * (1 << 20))()

    def encode(self, text, specials=True):
        data = text.encode("utf-8")
        count = self.library.llama_tokenize(self.vocabulary, data, len(data), self.room, len(self.room), False,
                                            specials)
        return self.room[:count]
