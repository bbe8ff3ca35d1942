// Light, dark, or as the system has it: chosen before anything is painted.
(() => {
  const chosen = localStorage.getItem("maw.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
