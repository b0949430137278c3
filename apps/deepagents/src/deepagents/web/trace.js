// Draws a run: its status, its steps and its answer, while it goes and afterwards.

const at = (id) => document.getElementById(id);
const known = (number) => (number === null || number === undefined ? "—" : number.toLocaleString());

export function begin(question) {
  at("run").hidden = false;
  at("trace").replaceChildren();
  at("answer").textContent = "";
  at("asked").textContent = question;
  at("run-facts").textContent = "";
  at("scripted").hidden = true;
  status("running");
}

export function status(text) {
  at("execution-status").textContent = text;
  at("execution-status").dataset.status = text;
}

export function show(event) {
  const { name, data } = event;
  if (name === "execution.started") at("scripted").hidden = data.is_model;
  if (name === "step.started" && data.kind === "model") step(data.seq, "model", data.name);
  if (name === "tool.called") called(step(data.seq, "tool", data.name), data);
  if (name === "tool.returned") returned(find(data.seq), data.error ?? data.result, data.error !== null);
  if (name === "step.completed") measured(find(data.seq), data);
  if (name === "text.delta") at("answer").append(data.text);
  if (name === "execution.completed") {
    status(data.status);
    if (data.detail) at("answer").append(`\n\n${data.detail}`);
    totals(data);
  }
  if (name === "execution.failed") {
    status("failed");
    at("answer").append(`${at("answer").textContent ? "\n\n" : ""}${data.error.message}`);
  }
}

export function showStored(execution) {
  begin(execution.input);
  status(execution.status);
  at("scripted").hidden = execution.model !== "scripted";
  for (const stored of execution.steps) {
    const item = step(stored.seq, stored.kind, stored.name);
    if (stored.kind === "tool") {
      called(item, { arguments: stored.input.arguments });
      returned(item, stored.error ?? stored.output, stored.error !== null);
    }
    measured(item, stored);
  }
  at("answer").textContent = [execution.output, execution.error?.message].filter(Boolean).join("\n\n");
  totals(execution);
}

function totals(run) {
  const took = run.milliseconds ?? Date.parse(run.finished_at) - Date.parse(run.created_at);
  const time = run.milliseconds === undefined ? "" : ` · ${duration(took)}`;
  at("run-facts").textContent = `${known(run.input_tokens)} tokens in · ${known(run.output_tokens)} out${time}`;
}

function step(seq, kind, name) {
  const item = document.createElement("li");
  item.dataset.step = seq;
  if (kind === "tool") item.dataset.tool = name;
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.append(element("span", "kind", kind), element("code", "what", name), element("span", "facts", "…"));
  details.append(summary);
  item.append(details);
  at("trace").append(item);
  return item;
}

function find(seq) {
  return at("trace").querySelector(`[data-step="${Number(seq)}"]`);
}

function called(item, { arguments: given }) {
  const short = Object.values(given ?? {}).map((value) => JSON.stringify(value)).join(", ");
  item.querySelector(".what").append(`(${short})`);
  item.querySelector("details").append(element("pre", "", JSON.stringify(given, null, 2)));
}

function returned(item, result, failed) {
  const text = typeof result === "string" ? result : JSON.stringify(result, null, 2);
  if (failed) item.dataset.failed = "";
  const short = failed ? text : String(result?.result ?? result?.words ?? "");
  if (short) item.querySelector(".what").append(` → ${short}`);
  item.querySelector("details").append(element("pre", "", text));
}

function measured(item, data) {
  if (!item) return;
  const tokens = data.kind === "model" ? `${known(data.input_tokens)} / ${known(data.output_tokens)} tokens · ` : "";
  item.querySelector(".facts").textContent = tokens + duration(data.milliseconds);
}

function duration(milliseconds) {
  if (milliseconds < 1) return "< 1 ms";
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
