"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const [filter, column, chapter, text, shown] = ["filter", "column", "chapter", "text", "shown"].map($);
  const columnOf = {
    "unexpected-pass": "failed", "expected-failure": "expected",
  };
  const cases = [...document.querySelectorAll(".case")].map((element) => ({
    element,
    column: columnOf[element.dataset.status] || element.dataset.status,
    chapters: element.dataset.chapters.split(" "),
    text: (element.querySelector("summary") || element).textContent.toLowerCase(),
  }));
  const groups = [...document.querySelectorAll(".group")];

  const apply = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const active = Boolean(column.value || chapter.value || words.length);
    let count = 0;
    for (const each of cases) {
      const fits = (!column.value || each.column === column.value)
        && (!chapter.value || each.chapters.includes(chapter.value))
        && words.every((word) => each.text.includes(word));
      each.element.hidden = !fits;
      count += fits;
    }
    for (const group of groups) {
      const left = group.querySelectorAll(".case:not([hidden])").length;
      group.hidden = left === 0;
      group.querySelector(".count").textContent = left;
      if (group.tagName === "DETAILS") group.open = active && left > 0;
    }
    shown.textContent = active ? `${count} of ${cases.length} cases` : `${cases.length} cases`;
  };

  const clear = () => {
    column.value = chapter.value = text.value = "";
    apply();
  };

  // A link to a case leads to it even if it is filtered out or folded up.
  const follow = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id.startsWith("case-") && $(id);
    if (!target) return;
    if (target.hidden) clear();
    const group = target.closest("details.group");
    if (group) group.open = true;
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView();
  };

  filter.hidden = false;
  for (const control of [column, chapter, text]) control.addEventListener("input", apply);
  $("clear").addEventListener("click", () => { clear(); text.focus(); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-chapter]");
    if (!link) return;
    clear();
    column.value = link.dataset.column;
    chapter.value = link.dataset.chapter;
    apply();
    $("cases").focus();
  });
  window.addEventListener("hashchange", follow);
  apply();
  follow();
})();
