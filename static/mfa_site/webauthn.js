// Security keys: the browser's own JSON methods, the answer in a hidden field, then an ordinary form POST.
// Every sentence is in the page already; this only shows one of them.

const form = document.querySelector("[data-webauthn]");
const button = form.querySelector("[data-webauthn-start]");
const says = [...document.querySelectorAll("[data-key-says]")];
const shownAt = Date.now();
let cancelled = 0;
const FRESH = 4 * 60 * 1000; // a challenge lives five minutes; ask for a new one a little before

function say(what) {
  document.querySelector("#problem")?.remove();
  for (const note of says) note.hidden = note.dataset.keySays !== what;
}

async function options() {
  if (Date.now() - shownAt < FRESH) return JSON.parse(document.getElementById("webauthn-options").textContent);
  const answer = await fetch(location.href, { headers: { Accept: "application/json" } });
  if (!answer.ok || !answer.headers.get("Content-Type")?.includes("json")) {
    location.reload();
    return new Promise(() => {});
  }
  return (await answer.json()).public_key;
}

function ceremony(publicKey) {
  return form.dataset.webauthn === "create"
    ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) })
    : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
}

// What the browser's error names mean to a person (cancelled, timed out and not found cannot be told apart).
const MEANING = {
  InvalidStateError: "already",
  SecurityError: "address",
  ConstraintError: "pin",
  NotSupportedError: "unfit",
  UnknownError: "unfit",
  TypeError: "offline",
};

async function start() {
  button.disabled = true;
  say("waiting");
  const began = Date.now();
  try {
    const credential = await ceremony(await options());
    form.elements.response.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    // The first time somebody cancels at once they know why; if it goes on, the button would seem dead.
    const quiet = error.name === "NotAllowedError" && Date.now() - began < 1000 && cancelled++ === 0;
    say(quiet ? "" : (MEANING[error.name] ?? "nothing"));
    button.disabled = false;
    button.focus();
  }
}

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON && navigator.credentials) {
  button.disabled = false;
  button.addEventListener("click", start);
  if (!document.querySelector("#problem")) button.focus();
} else {
  say("unsupported");
}
