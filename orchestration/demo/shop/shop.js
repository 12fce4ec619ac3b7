/* The demo shop's own script: asks the question, and tells what Candor's script did. */
(() => {
  "use strict";
  const candor = (window.candor = window.candor || []);
  const ask = document.getElementById("ask");
  const log = document.getElementById("log");
  const note = (words) => {
    const line = document.createElement("li");
    line.textContent = words;
    log.append(line);
    log.scrollTop = log.scrollHeight;
  };
  candor.push(["on", "consent", (choices) => {
    ask.hidden = true;
    note(Object.values(choices).includes(true) ? "You said yes. From now on it may ask." : "You said no. It forgot you.");
  }]);
  candor.push(["on", "placement", (said) => note(
    said.shown ? `${said.placement}: showed what was decided (${said.decision_id}).` : `${said.placement}: the page's own words stay (${said.reason}).`,
  )]);
  for (const event of ["permissions", "resync"]) candor.push(["on", event, () => note("Your permissions moved: it asks again.")]);
  candor.push(["ready", () => {
    ask.hidden = window.candor.user().anonymousId() !== null;
    window.candor.page();
  }]);
  document.getElementById("again").addEventListener("click", () => {
    ask.hidden = false;
    ask.querySelector("button").focus();
  });
})();
