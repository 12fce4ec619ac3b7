// Draws the reference from /openapi.json. Nothing is asked of another host, and no key is kept after the page is closed.
"use strict";
// A route's line is a button, and a button may hold no link; headings go down one level at a time. The address still follows what is opened.
const readable = ({ React }) => ({
  components: { DeepLink: ({ text }) => React.createElement("span", { className: "nostyle" }, text) },
  wrapComponents: {
    InfoContainer: (Info) => (props) => React.createElement(React.Fragment, null,
      React.createElement(Info, props), React.createElement("h2", { className: "unseen" }, "Routes")),
  },
});
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
// What is drawn later without a name or without a way for the keyboard gets one.
const reference = document.getElementById("reference");
new MutationObserver(() => {
  for (const one of reference.querySelectorAll("select:not([aria-label]):not([id])")) {
    one.setAttribute("aria-label", one.classList.contains("examples-select-element") ? "Example" : "Kind of content");
  }
  for (const one of reference.querySelectorAll("pre:not([tabindex])")) one.tabIndex = 0;
}).observe(reference, { childList: true, subtree: true });
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false,
  validatorUrl: null,
  syntaxHighlight: { activated: true },
  plugins: [readable],
});
