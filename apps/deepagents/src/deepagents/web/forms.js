// Forms: what a person typed, and what was wrong with it, beside where it was typed.

export function submits(form, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear(form);
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await action(Object.fromEntries(new FormData(form)));
    } finally {
      button.disabled = false;
    }
  });
}

// Puts each detail beside its field; returns what has no field here, for the banner.
export function explain(form, error) {
  const homeless = [];
  for (const detail of error.details) {
    const name = String(detail.loc[1] ?? "");
    const home = form.elements[name] ?? form.querySelector(`[data-field="${CSS.escape(name)}"]`);
    const field = home instanceof RadioNodeList ? form.querySelector(`[data-field="${CSS.escape(name)}"]`) : home;
    if (field) mark(field, detail.msg);
    else homeless.push(detail.msg);
  }
  form.querySelector("[aria-invalid=true]")?.focus();
  if (error.details.length && !homeless.length) return "";
  return homeless.length ? homeless.join(" ") : error.message;
}

export function mark(field, message) {
  const text = document.createElement("span");
  text.className = "problem";
  text.id = `problem-${field.name || field.dataset.field}-${field.form?.id ?? ""}`;
  text.textContent = message;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", text.id);
  (field.closest("label") ?? field).append(text);
}

export function clear(form) {
  for (const problem of form.querySelectorAll(".problem")) problem.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}
