"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const given = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, n) => row.cells[n].dataset.v ?? "";
  heads.forEach((head, n) => {
    const number = head.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const first = number ? "descending" : "ascending";
      const second = number ? "ascending" : "descending";
      const was = head.getAttribute("aria-sort");
      const now = was === first ? second : was === second ? null : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (now) head.setAttribute("aria-sort", now);
      const sign = now === "descending" ? -1 : 1;
      const order = (a, b) => {
        const [x, y] = [value(a, n), value(b, n)];
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (number ? Number(x) - Number(y) : x.localeCompare(y));
      };
      body.append(...(now ? [...given].sort(order) : given));
    });
  });
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
