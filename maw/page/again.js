// Asking again and again, for what has no stream: only while somebody looks, and never twice at once.

/** Runs `ask` now and then every `seconds()`; returns what ends it. What it throws goes to `fail`, and it goes on. */
export function again(ask, seconds, fail) {
  let timer = 0;
  let ended = false;
  const round = async () => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") {
      try {
        await ask();
      } catch (error) {
        fail(error);
      }
    }
    if (!ended) timer = setTimeout(round, seconds() * 1000);
  };
  const back = () => document.visibilityState === "visible" && round();
  document.addEventListener("visibilitychange", back);
  round();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", back);
  };
}
