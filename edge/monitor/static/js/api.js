// The monitor's HTTP API.

/** An answer other than 2xx, or none. `code`: the server's word for it, "silent" where nothing answered. */
export class ApiError extends Error {
  constructor(status, code, { text = "", retry_s: retryS = 0 } = {}) {
    super(`${status} ${code} ${text}`);
    this.status = status;
    this.code = code;
    this.text = text;
    this.retryS = retryS;
  }
}

/** Who is logged in, and what this monitor offers: the answer of /api/me. */
export const me = {
  user: null, csrf: "", language: "", timezone: "", day: "", login: false, actions: false, challenge: false,
  private: false,
};

export async function refreshMe() {
  Object.assign(me, await get("/api/me"));
}

export async function logIn(user, password) {
  await post("/api/login", { user, password });
  await refreshMe();
}

export async function logOut() {
  await post("/api/logout", {});
  await refreshMe();
}

/** GET; parameters that are empty are left out. */
export function get(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return ask(query ? `${path}?${query}` : path, {});
}

export function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": me.csrf ?? "" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function ask(url, options) {
  let answer;
  try {
    answer = await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    throw new ApiError(0, "silent");
  }
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const body = isJson ? await answer.json() : {};
  if (!answer.ok) throw new ApiError(answer.status, body.error ?? "", body);
  return body;
}
