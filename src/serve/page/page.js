"use strict";

const texts = {
  en: {
    skip: "To the question", settings: "Settings", theme: "Light or dark", temperature: "Temperature",
    top_p: "Share of likeliest words (top-p)", max_tokens: "Longest answer, tokens", seed: "Seed",
    key: "Access key", clear: "New conversation", prompt: "Your text", send: "Send", stop: "Stop",
    welcome: "This model was grown in this building from texts at hand. Nothing you write leaves it.",
    plain: "It continues texts. It was not trained for conversation and does not know facts: begin a sentence and see how it goes on.",
    chat: "It can be wrong. Check what matters.",
    placeholder: "Begin a text; Enter sends, Shift+Enter makes a new line",
    parameters: "M parameters", step: "step", copy: "Copy", copied: "Copied", stopped: "stopped", length: "cut at the longest answer",
    speed: "tokens/s", no_server: "The server does not answer. Is it still running?",
    key_needed: "This server asks for an access key: enter it under Settings.", failed: "The answer broke off.",
    examples: ["To install the package,", "The following options", "In the beginning"],
  },
  ru: {
    skip: "К вопросу", settings: "Настройки", theme: "Светлая или тёмная", temperature: "Температура",
    top_p: "Доля вероятнейших слов (top-p)", max_tokens: "Длина ответа, токены", seed: "Зерно случайности",
    key: "Ключ доступа", clear: "Начать заново", prompt: "Ваш текст", send: "Отправить", stop: "Стоп",
    welcome: "Эта модель выращена здесь, из своих текстов. Ничто из написанного вами не покидает здания.",
    plain: "Она продолжает тексты. Она не обучена беседе и не знает фактов: начните предложение и посмотрите, как оно пойдёт дальше.",
    chat: "Она может ошибаться. Важное проверяйте.",
    placeholder: "Начните текст; Enter — отправить, Shift+Enter — новая строка",
    parameters: "млн параметров", step: "шаг", copy: "Копировать", copied: "Скопировано", stopped: "остановлено", length: "обрезано по длине",
    speed: "токенов/с", no_server: "Сервер не отвечает. Он ещё работает?",
    key_needed: "Серверу нужен ключ доступа: введите его в настройках.", failed: "Ответ оборвался.",
    examples: ["Для установки пакета", "Эта команда", "В настоящее время"],
  },
};

const $ = (id) => document.getElementById(id);
const store = {
  get(name) { try { return localStorage.getItem("rodnik." + name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem("rodnik." + name, value); } catch { /* not kept */ } },
};

let language = store.get("language") || (navigator.language.startsWith("ru") ? "ru" : "en");
let model = null;
let messages = [];
let running = null;

const say = (key) => texts[language][key];

/* ---- language and theme ---- */

function showModel() {
  if (!model) return;
  const size = (model.parameters / 1e6).toLocaleString(language, { maximumFractionDigits: 1 });
  const step = model.step >= 0 ? ` · ${say("step")} ${model.step}` : "";
  const hash = model.state_sha256 ? ` · ${model.state_sha256.slice(0, 12)}` : "";
  $("model").textContent = `${model.id} · ${size} ${say("parameters")}${step}${hash}`;
  $("model").title = model.state_sha256 || "";
  $("honest").textContent = say(model.chat ? "chat" : "plain");
}

function showLanguage() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = say(element.dataset.placeholder);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  $("language").textContent = language === "ru" ? "EN" : "RU";
  $("language").lang = language === "ru" ? "en" : "ru";
  $("examples").replaceChildren(...say("examples").map((example) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = example;
    button.addEventListener("click", () => { $("prompt").value = example; $("form").requestSubmit(); });
    return button;
  }));
  showModel();
}

function showTheme() {
  const wanted = store.get("theme");
  const dark = wanted ? wanted === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark", dark);
  return dark;
}

/* ---- the server ---- */

function headers() {
  const key = $("key").value.trim();
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

function showError(text) { $("status").textContent = text; }

async function problemOf(response) {
  if (response.status === 401) { $("settings").hidden = false; return say("key_needed"); }
  try { return (await response.json()).error.message; } catch { return `HTTP ${response.status}`; }
}

async function loadModel() {
  try {
    const response = await fetch("/v1/models", { headers: headers() });
    if (!response.ok) return showError(await problemOf(response));
    model = (await response.json()).data[0];
    showError("");
    showModel();
  } catch { showError(say("no_server")); }
}

/* Events of a stream: lines "data: {...}", ended by an empty line. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    pending += value;
    const parts = pending.split("\n\n");
    pending = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

/* ---- the conversation ---- */

function addTurn(mine) {
  $("welcome")?.remove();
  const turn = document.createElement("article");
  const text = document.createElement("div");
  turn.className = mine ? "turn mine" : "turn theirs";
  text.className = "text";
  turn.append(text);
  $("log").append(turn);
  turn.scrollIntoView({ block: "end" });
  return { turn, text };
}

function addFoot(turn, words, note) {
  const foot = document.createElement("div");
  const copy = document.createElement("button");
  const span = document.createElement("span");
  foot.className = "foot";
  copy.type = "button";
  copy.textContent = say("copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(words);
    copy.textContent = say("copied");
  });
  span.textContent = note;
  foot.append(copy, span);
  turn.append(foot);
}

function requestBody() {
  const number = (id) => ($(id).value === "" ? undefined : Number($(id).value));
  return JSON.stringify({
    model: model?.id, messages, stream: true, stream_options: { include_usage: true },
    temperature: number("temperature"), top_p: number("top_p"), max_tokens: number("max_tokens"),
    seed: number("seed") ?? Math.floor(Math.random() * 2 ** 31),
  });
}

function setRunning(controller) {
  running = controller;
  $("send").hidden = controller !== null;
  $("stop").hidden = controller === null;
}

async function receive(response, text, answer) {
  const log = $("log");
  for await (const event of events(response)) {
    if (event.usage) answer.usage = event.usage;
    const choice = event.choices[0];
    if (!choice) continue;
    if (choice.finish_reason) answer.finish = choice.finish_reason;
    if (!choice.delta?.content) continue;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    answer.words += choice.delta.content;
    text.append(choice.delta.content);
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  if (!answer.finish) throw new Error("broken off");
}

function noteOf(answer, started) {
  const seconds = (performance.now() - started) / 1000;
  const notes = [];
  if (answer.finish === "length") notes.push(say("length"));
  if (answer.finish === "stopped") notes.push(say("stopped"));
  if (answer.usage) notes.push(`${Math.round(answer.usage.completion_tokens / seconds)} ${say("speed")}`);
  return notes.join(" · ");
}

async function ask(question) {
  messages.push({ role: "user", content: question });
  addTurn(true).text.textContent = question;
  const { turn, text } = addTurn(false);
  const answer = { words: "", finish: "", usage: null };
  const started = performance.now();
  if (model && !model.chat) {
    const given = document.createElement("span");
    given.className = "given";
    given.textContent = question;
    text.append(given);
  }
  text.classList.add("waiting");
  showError("");
  setRunning(new AbortController());
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST", headers: headers(), body: requestBody(), signal: running.signal,
    });
    if (!response.ok) throw new Error(await problemOf(response));
    await receive(response, text, answer);
  } catch (error) {
    if (error.name === "AbortError") answer.finish = "stopped";
    else if (error instanceof TypeError) showError(say("no_server"));
    else showError(error.message === "broken off" ? say("failed") : error.message);
  }
  text.classList.remove("waiting");
  setRunning(null);
  if (answer.finish) {
    messages.push({ role: "assistant", content: answer.words });
    addFoot(turn, answer.words, noteOf(answer, started));
  } else {
    messages.pop();
    if (!answer.words) turn.remove();
  }
  $("prompt").focus();
}

/* ---- events ---- */

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = $("prompt").value;
  if (running || !question.trim()) return;
  $("prompt").value = "";
  ask(question);
});
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("form").requestSubmit();
  }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") running?.abort(); });
$("stop").addEventListener("click", () => running?.abort());
$("settings-toggle").addEventListener("click", () => {
  $("settings").hidden = !$("settings").hidden;
  $("settings-toggle").setAttribute("aria-expanded", String(!$("settings").hidden));
});
$("language").addEventListener("click", () => {
  language = language === "ru" ? "en" : "ru";
  store.set("language", language);
  showLanguage();
});
$("theme").addEventListener("click", () => {
  store.set("theme", showTheme() ? "light" : "dark");
  showTheme();
});
$("clear").addEventListener("click", () => { running?.abort(); messages = []; $("log").replaceChildren(); });
$("key").addEventListener("change", loadModel);

showTheme();
showLanguage();
loadModel();
$("prompt").focus();
