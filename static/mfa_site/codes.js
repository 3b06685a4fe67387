// Copy and print the recovery codes. Every sentence is in the page already; this only shows one of them.

const list = document.getElementById("codes");

function say(what) {
  for (const note of document.querySelectorAll("[data-codes-say]")) note.hidden = note.dataset.codesSay !== what;
}

async function copy() {
  try {
    await navigator.clipboard.writeText([...list.children].map((item) => item.textContent.trim()).join("\n") + "\n");
    say("copied");
  } catch {
    getSelection().selectAllChildren(list);
    say("selected");
  }
}

for (const [name, act] of [["copy", copy], ["print", () => print()]]) {
  const button = document.querySelector(`[data-codes="${name}"]`);
  button.hidden = false;
  button.addEventListener("click", act);
}
