// "Wrong: it is ...": the clip of an answer is taught as what it is, and asked again.

import { follow, sendLesson } from "./jobs.js";
import { element, nameField, sentence } from "./parts.js";

let count = 0;

export function correction(file, askAgain) {
  count += 1;
  const id = `right-name-${count}`;
  const input = nameField({ id, list: "known-names" });
  const submit = element("button", { type: "submit", text: "Teach it" });
  const status = element("p", { class: "quiet", role: "status" });
  const row = element("div", { class: "row" }, input, submit);
  const label = element("label", { for: id, text: "Its class, known or new" });
  const form = element("form", { novalidate: "" }, label, row, status);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const tell = (text, isTrouble = false) => {
      status.className = isTrouble ? "warn" : "quiet";
      status.textContent = text;
    };
    const name = input.value.trim();
    if (!name) {
      tell("Give the name of its class.", true);
      input.focus();
      return;
    }
    submit.disabled = true;
    try {
      tell("Sending ...");
      const job = await follow((await sendLesson(name, [file], { more: true })).id, tell);
      if (job.error) throw new Error(job.error.message);
      tell("Learned. Asking again ...");
      await askAgain();
      tell(`Taught as ${name}. The answer is the new one.`);
    } catch (error) {
      tell(sentence(error.message), true);
    }
    submit.disabled = false;
  });
  return element("details", { class: "correct" }, element("summary", { text: "Wrong: it is ..." }), form);
}
