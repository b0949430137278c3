// The page: who is signed in, which agent is open, and what happens when somebody presses something.

import * as api from "./api.js";
import { clear, explain, mark, submits } from "./forms.js";
import { events } from "./stream.js";
import * as trace from "./trace.js";

const at = (id) => document.getElementById(id);
const state = { agents: [], agent: null, editing: null, run: null };

function complain(error) {
  const banner = at("banner");
  banner.hidden = !error;
  if (!error) return;
  const id = error.requestId ? ` (request ${error.requestId})` : "";
  banner.textContent = typeof error === "string" ? error : `${error.message}${error.status >= 500 ? id : ""}`;
}

async function guarded(action) {
  complain(null);
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    complain(error);
    return undefined;
  }
}

async function filled(form, action) {
  complain(null);
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    complain(explain(form, error) ? Object.assign(error, { message: explained(error) }) : null);
    return undefined;
  }
}

const explained = (error) => (error.details.length ? error.details.map((detail) => detail.msg).join(" ") : error.message);

// --- signing in -------------------------------------------------------------------------------------------------------

function show(name) {
  document.body.dataset.state = name;
}

function choose(tab) {
  for (const name of ["register", "sign-in"]) {
    at(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
    at(`${name}-form`).hidden = name !== tab;
  }
  complain(null);
}

async function enter() {
  const [me, tools, models] = await Promise.all([api.get("/users/me"), api.get("/tools"), api.get("/models")]);
  at("who").textContent = me.full_name || me.email;
  drawTools(tools.items);
  drawModels(models.items);
  show("signed-in");
  await loadAgents();
}

function leave(error) {
  state.run?.abort();
  Object.assign(state, { agents: [], agent: null, editing: null });
  show("signed-out");
  choose(error ? "sign-in" : "register");
  complain(error ? "Your session is over. Sign in again." : null);
}

submits(at("register-form"), (typed) =>
  filled(at("register-form"), async () => {
    const person = { ...typed, full_name: typed.full_name || null };
    if (typed.password !== typed.password_confirm) {
      mark(at("register-form").elements.password_confirm, "The two passwords differ.");
      return;
    }
    await api.register(person);
    await api.signIn(typed.email, typed.password);
    at("register-form").reset();
    await enter();
  }),
);

submits(at("sign-in-form"), (typed) =>
  filled(at("sign-in-form"), async () => {
    await api.signIn(typed.email, typed.password);
    at("sign-in-form").reset();
    await enter();
  }),
);

at("tab-register").addEventListener("click", () => choose("register"));
at("tab-sign-in").addEventListener("click", () => choose("sign-in"));
at("sign-out").addEventListener("click", () => guarded(async () => {
  await api.signOut();
  leave();
  choose("sign-in");
}));
api.whenSignedOut(leave);

// --- agents -----------------------------------------------------------------------------------------------------------

function drawTools(tools) {
  at("tools").replaceChildren(
    ...tools.map((tool) => {
      const label = document.createElement("label");
      label.className = "tool";
      const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "tools", value: tool.name });
      const text = document.createElement("span");
      const name = document.createElement("b");
      const about = document.createElement("small");
      name.textContent = tool.name;
      about.textContent = tool.description;
      text.append(name, about);
      label.append(box, text);
      return label;
    }),
  );
}

function drawModels(models) {
  const select = at("agent-form").elements.model_name;
  select.replaceChildren(...models.map((model) => new Option(model.name, model.name)));
  const scripted = models.find((model) => !model.is_model);
  at("model-note").hidden = !scripted;
  at("model-note").textContent = scripted?.note ?? "";
}

async function loadAgents(openId = null) {
  const page = await api.get("/agents?page_size=100");
  state.agents = page.items;
  const chosen = state.agents.find((agent) => agent.id === openId) ?? state.agents[0] ?? null;
  if (chosen) await openAgent(chosen);
  else startAgent();
  drawAgents();
}

function drawAgents() {
  at("agents-empty").hidden = state.agents.length > 0;
  at("agents-list").replaceChildren(
    ...state.agents.map((agent) => {
      const item = document.createElement("li");
      const button = Object.assign(document.createElement("button"), { type: "button" });
      const about = document.createElement("small");
      about.textContent = agent.tools.join(", ") || "no tools";
      button.append(agent.name, about);
      button.setAttribute("aria-current", String(agent.id === state.agent?.id));
      button.addEventListener("click", () => guarded(() => openAgent(agent)));
      item.append(button);
      return item;
    }),
  );
}

async function openAgent(agent) {
  state.run?.abort();
  state.agent = agent;
  at("agent-form").hidden = true;
  at("agent-view").hidden = false;
  at("run").hidden = true;
  at("agent-name").textContent = agent.name;
  at("agent-facts").textContent = `${agent.model_name} · ${agent.tools.join(", ") || "no tools"}`;
  drawAgents();
  await loadHistory();
}

function startAgent(agent = null) {
  const form = at("agent-form");
  state.editing = agent;
  clear(form);
  form.reset();
  at("agent-form-title").textContent = agent ? `Edit ${agent.name}` : "New agent";
  at("cancel-agent").hidden = state.agents.length === 0;
  if (agent) {
    for (const name of ["name", "max_tokens", "system_prompt"]) form.elements[name].value = agent[name];
    if (![...form.elements.model_name.options].some((option) => option.value === agent.model_name)) {
      form.elements.model_name.append(new Option(agent.model_name, agent.model_name));
    }
    form.elements.model_name.value = agent.model_name;
  }
  for (const box of form.querySelectorAll("[name=tools]")) box.checked = agent?.tools.includes(box.value) ?? false;
  form.hidden = false;
  at("agent-view").hidden = true;
  form.elements.name.focus();
}

submits(at("agent-form"), (typed) =>
  filled(at("agent-form"), async () => {
    const tools = [...at("agent-form").querySelectorAll("[name=tools]:checked")].map((box) => box.value);
    const sent = { ...typed, tools, max_tokens: Number(typed.max_tokens) };
    const saved = state.editing
      ? await api.patch(`/agents/${state.editing.id}`, sent)
      : await api.post("/agents", sent);
    await loadAgents(saved.id);
    at("message").focus();
  }),
);

at("new-agent").addEventListener("click", () => startAgent());
at("edit-agent").addEventListener("click", () => startAgent(state.agent));
at("cancel-agent").addEventListener("click", () => guarded(() => openAgent(state.agent ?? state.agents[0])));
at("delete-agent").addEventListener("click", () => {
  if (!window.confirm(`Delete ${state.agent.name}? What it did stays in the database, and is no longer shown.`)) return;
  guarded(async () => {
    await api.remove(`/agents/${state.agent.id}`);
    state.agent = null;
    await loadAgents();
  });
});

// --- running ----------------------------------------------------------------------------------------------------------

async function loadHistory() {
  const page = await api.get(`/agents/${state.agent.id}/executions?page_size=20`);
  at("history-empty").hidden = page.items.length > 0;
  at("history").replaceChildren(
    ...page.items.map((run) => {
      const item = document.createElement("li");
      const button = Object.assign(document.createElement("button"), { type: "button" });
      const asked = document.createElement("span");
      const facts = document.createElement("span");
      facts.className = "facts";
      asked.textContent = run.input;
      facts.textContent = `${run.status} · ${new Date(run.created_at).toLocaleString()}`;
      button.append(asked, facts);
      button.addEventListener("click", () =>
        guarded(async () => trace.showStored(await api.get(`/executions/${run.id}`))),
      );
      item.append(button);
      return item;
    }),
  );
}

async function run(text) {
  const agent = state.agent;
  state.run = new AbortController();
  at("send").hidden = true;
  at("stop").hidden = false;
  let ended = false;
  try {
    const response = await api.open(`/agents/${agent.id}/executions/stream`, { input: text }, state.run.signal);
    at("message-form").reset();
    trace.begin(text);
    for await (const event of events(response)) {
      trace.show(event);
      ended ||= event.name === "execution.completed" || event.name === "execution.failed";
    }
    if (!ended) throw new TypeError("The stream broke off.");
  } catch (error) {
    if (error instanceof api.ApiError) throw error;
    trace.status(error.name === "AbortError" ? "cancelled" : "failed");
    if (error.name !== "AbortError") complain("The connection broke off. The steps so far are kept under Earlier.");
  } finally {
    state.run = null;
    at("send").hidden = false;
    at("stop").hidden = true;
  }
  if (state.agent?.id === agent.id) await loadHistory();
}

submits(at("message-form"), (typed) => filled(at("message-form"), () => run(typed.input)));
at("stop").addEventListener("click", () => state.run?.abort());
at("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("message-form").requestSubmit();
  }
});

// --- start ------------------------------------------------------------------------------------------------------------

guarded(async () => {
  if (await api.resume()) await enter();
}).finally(() => {
  if (document.body.dataset.state === "loading") show("signed-out");
});
