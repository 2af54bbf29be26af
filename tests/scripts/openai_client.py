#!/usr/bin/env python3
"""The official OpenAI client against the server: openai_client.py BASE_URL"""
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=30)


def check(name, good):
    print(f"ok openai client: {name}" if good else f"FAILED openai client: {name}: not as it should be")


model = client.models.list().data[0].id
check("lists the model", bool(model))
messages = [{"role": "user", "content": "Привет"}]
answer = client.chat.completions.create(model=model, messages=messages, max_tokens=6)
check("gets an answer with usage", answer.usage.completion_tokens <= 6 and answer.choices[0].finish_reason in ("stop", "length"))
events = list(client.chat.completions.create(model=model, messages=messages, max_tokens=6, stream=True,
                                             stream_options={"include_usage": True}))
check("streams a chat completion", events[0].choices[0].delta.role == "assistant")
check("gets usage in a last event without choices", events[-1].usage is not None and events[-1].choices == [])
check("sees one finish_reason", sum(1 for e in events for c in e.choices if c.finish_reason) == 1)
text = client.completions.create(model=model, prompt="abc", max_tokens=4)
check("completes a prompt", isinstance(text.choices[0].text, str))
stream = client.chat.completions.create(model=model, messages=messages, max_tokens=100, stream=True)
next(iter(stream))
stream.close()
check("may leave a stream", client.models.list().data[0].id == model)
try:
    client.chat.completions.create(model=model, messages=messages, temperature=9)
    check("gets BadRequestError for a bad temperature", False)
except openai.BadRequestError as error:
    check("gets BadRequestError for a bad temperature", "temperature" in str(error))
try:
    client.chat.completions.create(model="other", messages=messages)
    check("gets NotFoundError for another model", False)
except openai.NotFoundError:
    check("gets NotFoundError for another model", True)
