// The login.  Looking needs none; marks, acknowledgements and challenges do.

import { logIn, me } from "../api.js";
import { h, setAttribute, setText } from "../dom.js";
import { t } from "../i18n.js";
import { failure, field, page } from "../panel.js";

export function login({ again }) {
  const user = h("input", { name: "user", id: "user", autocomplete: "username", required: true, autocapitalize: "none" });
  const password = h("input", { name: "password", id: "password", type: "password", autocomplete: "current-password", required: true });
  const line = h("p", { class: "line is-bad", id: "login-line", role: "alert" });
  const button = h("button", { class: "button is-main" }, t("login.button"));
  const send = async (event) => {
    event.preventDefault();
    button.disabled = true;
    setText(line, "");
    try {
      await logIn(user.value, password.value);
      history.replaceState(null, "", goal());
      again("main");
    } catch (error) {
      line.replaceChildren(failure(error));
      setAttribute(password, "aria-invalid", "true");
      setAttribute(password, "aria-describedby", line.id);
      password.value = "";
      password.focus();
    }
    button.disabled = false;
  };
  const fields = [field(t("login.user"), user), field(t("login.password"), password)];
  const form = h("form", { class: "login panel", on: { submit: send } }, fields, button, line);
  const element = page(t("login.title"), h("p", { class: "intro" }, t(me.private ? "login.needed" : "login.intro")), form);
  return { title: t("login.title"), element };
}

/** Return where to go: a page of ours, whatever the address says. */
function goal() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  const url = new URL(next, location.origin);
  return url.origin === location.origin && url.pathname !== "/login" ? url.pathname + url.search : "/";
}
