#!/usr/bin/env python3
"""Drives the served page in headless Chromium through WebDriver: page_drive.py URL FOLDER.

Sends a text, waits for the streamed answer, switches language and theme, takes screenshots.  Standard library only.
"""
import base64
import json
import subprocess
import sys
import time
import urllib.request

url, folder = sys.argv[1:3]
driver = "http://127.0.0.1:9517"
process = subprocess.Popen(["chromedriver", "--port=9517"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(driver + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]


def check(name, good):
    print(("ok " if good else "FAILED ") + name + ("" if good else ": see the screenshots in " + folder))


def main():
    for _ in range(50):
        try:
            call("GET", "/status")
            break
        except OSError:
            time.sleep(0.2)
    options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,760"]}
    session = "/session/" + call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})["sessionId"]

    def run(script):
        return call("POST", session + "/execute/sync", {"script": script, "args": []})

    def shot(name):
        with open(f"{folder}/{name}.png", "wb") as file:
            file.write(base64.b64decode(call("GET", session + "/screenshot")))

    call("POST", session + "/url", {"url": url})
    time.sleep(1)
    check("the page names its model", "parameters" in run("return document.getElementById('model').textContent"))
    shot("light")
    run("document.getElementById('language').click()")
    check("the page speaks Russian", run("return document.documentElement.lang") == "ru"
          and run("return document.getElementById('send').textContent") == "Отправить")
    run("document.getElementById('max_tokens').value = 30; document.getElementById('prompt').value = 'Для установки пакета';"
        "document.getElementById('form').requestSubmit()")
    answer = ""
    for _ in range(100):
        time.sleep(0.2)
        if run("return document.querySelector('.foot') !== null"):
            answer = run("return document.querySelector('.theirs .text').textContent")
            break
    check("an answer streams in", len(answer) > len("Для установки пакета"))
    check("nothing is said to be wrong", run("return document.getElementById('status').textContent") == "")
    run("document.getElementById('theme').click()")
    check("the page turns dark", run("return document.documentElement.classList.contains('dark')"))
    shot("dark")
    run("document.getElementById('max_tokens').value = 4096; document.getElementById('prompt').value = 'Эта команда';"
        "document.getElementById('form').requestSubmit(); setTimeout(() => document.getElementById('stop').click(), 150)")
    time.sleep(2)
    check("the stop button ends an answer", run("return document.getElementById('stop').hidden"))
    call("POST", session + "/window/rect", {"width": 400, "height": 780})
    time.sleep(0.5)
    check("nothing is wider than a phone", run("return document.documentElement.scrollWidth <= innerWidth"))
    shot("phone")
    call("DELETE", session)


try:
    main()
finally:
    process.terminate()
