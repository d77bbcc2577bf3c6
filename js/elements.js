// Elements of our panels.

export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

export function button(className, label, title, onClick) {
  const element = make("button", className, label);
  element.type = "button";
  element.title = title;
  if (!/\w/.test(label)) element.setAttribute("aria-label", title); // a sign, or a picture
  element.addEventListener("click", onClick);
  return element;
}

// `url`: of a .css file; loaded once.
export function useStyles(url) {
  if (document.querySelector(`link[href="${url}"]`)) return;
  const link = make("link", "");
  link.rel = "stylesheet";
  link.href = url;
  document.head.append(link);
}
