// Calls of the service's API, with the tokens it needs.

const BASE = "/api/v1";
// The access token stays in memory. The refresh token stands in sessionStorage: a reload keeps the sign-in, closing the
// tab ends it, and other tabs cannot use the same token twice, which would end the sign-in everywhere.
const STORED = "deepagents.refresh";

let accessToken = null;
let refreshing = null;
let onSignedOut = () => {};

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? (status ? `The service answered ${status}.` : "The service cannot be reached."));
    this.status = status;
    this.code = body?.error?.code ?? "";
    this.details = body?.error?.details ?? [];
    this.requestId = body?.request_id ?? "";
  }
}

export function whenSignedOut(callback) {
  onSignedOut = callback;
}

export async function register(person) {
  return call("POST", "/users", { json: person, signed: false });
}

export async function signIn(email, password) {
  const form = new URLSearchParams({ username: email, password });
  keep(await call("POST", "/auth/login", { form, signed: false }));
}

export async function resume() {
  return sessionStorage.getItem(STORED) !== null && (await refresh());
}

export async function signOut() {
  const token = sessionStorage.getItem(STORED);
  forget();
  if (token) await call("POST", "/auth/logout", { json: { refresh_token: token }, signed: false });
}

export const get = (path) => call("GET", path);
export const post = (path, json) => call("POST", path, { json });
export const patch = (path, json) => call("PATCH", path, { json });
export const remove = (path) => call("DELETE", path);

// A streamed answer; the caller reads its body.
export async function open(path, json, signal) {
  return send("POST", path, { json, signal, accept: "text/event-stream" });
}

async function call(method, path, options = {}) {
  const response = await send(method, path, options);
  return response.status === 204 ? null : response.json();
}

async function send(method, path, { json, form, signal, accept = "application/json", signed = true } = {}) {
  const attempt = () => {
    const headers = { accept };
    if (json !== undefined) headers["content-type"] = "application/json";
    if (signed && accessToken) headers.authorization = `Bearer ${accessToken}`;
    const body = json !== undefined ? JSON.stringify(json) : form;
    return fetch(BASE + path, { method, headers, body, signal });
  };
  let response = await reached(attempt);
  if (response.status === 401 && signed && (await refresh())) response = await reached(attempt);
  if (response.ok) return response;
  const error = new ApiError(response.status, await response.json().catch(() => null));
  if (response.status === 401 && signed) {
    forget();
    onSignedOut(error);
  }
  throw error;
}

async function reached(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, null);
  }
}

// One refresh at a time, whoever asks: each refresh token works once, and a second use ends the sign-in.
function refresh() {
  refreshing ??= renew().finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function renew() {
  const token = sessionStorage.getItem(STORED);
  if (!token) return false;
  try {
    keep(await call("POST", "/auth/token/refresh", { json: { refresh_token: token }, signed: false }));
    return true;
  } catch (error) {
    if (error.status === 401) forget();
    return false;
  }
}

function keep(tokens) {
  accessToken = tokens.access_token;
  sessionStorage.setItem(STORED, tokens.refresh_token);
}

function forget() {
  accessToken = null;
  sessionStorage.removeItem(STORED);
}
