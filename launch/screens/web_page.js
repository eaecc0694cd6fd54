"use strict";
(() => {
  const BEAT_MS = 250; // how often the page says that it is there, and measures the way
  const LOST_MS = 3000; // a beat that is not echoed for so long: the line is dead, whatever the browser thinks
  const RETRY_MS = 1000;
  const SESSION_OVER = 4000;
  const ELSEWHERE = 4001;
  const TEXTS = {
    connecting: ["Connecting…", "Connecting…"],
    live: ["Connected: you steer", "Waiting for the first picture…"],
    away: ["Connected, but another window has the keyboard", "Paused. Click here to steer."],
    lost: [
      "Connection lost, the episode is paused, reconnecting…",
      "Connection lost. The episode is paused; nothing is lost. Reconnecting… If forestpilot has ended, start it again " +
        "and open the new address.",
    ],
    elsewhere: ["Steered from another window", "This session was opened in another window, which steers now."],
    over: ["The session is over", "The session is over. You can close this page."],
  };

  const byId = (id) => document.getElementById(id);
  const canvas = byId("picture");
  const context = canvas.getContext("2d");
  const bound = new Set([...document.querySelectorAll("[data-code]")].map((element) => element.dataset.code));
  const held = new Set();
  let socket = null; // the connection in use; what an older one still says is ignored
  let state = "connecting";
  let hasFocus = false; // what the simulator was told last
  let waitingSince = 0; // when the oldest unanswered sign of life was sent; 0: none
  let drawing = Promise.resolve();
  let drawn = []; // times of the pictures of the last second

  function setState(next) {
    if (next === state) return;
    state = next;
    const [status, notice] = TEXTS[state];
    document.body.dataset.state = state;
    byId("status").textContent = status;
    byId("notice").textContent = notice;
    byId("back").hidden = state !== "elsewhere";
    if (state !== "live" && state !== "away") {
      byId("trip").textContent = "–";
      drawn = [];
    }
  }

  function connect() {
    const mine = new WebSocket(`ws://${location.host}${location.pathname}`);
    mine.binaryType = "arraybuffer";
    socket = mine;
    waitingSince = performance.now();
    mine.onopen = () => {
      if (mine !== socket) return;
      waitingSince = 0;
      hasFocus = false;
      setState("away");
      tellFocus();
      beat();
    };
    mine.onmessage = (event) => {
      if (mine !== socket) return;
      if (typeof event.data === "string") heard(JSON.parse(event.data));
      else drawing = drawing.then(() => draw(mine, event.data));
    };
    mine.onclose = (event) => {
      if (mine !== socket) return;
      if (event.code === ELSEWHERE) leave("elsewhere");
      else if (event.code === SESSION_OVER) leave("over");
      else lose();
    };
  }

  function leave(next) {
    socket = null;
    waitingSince = 0;
    held.clear();
    showHeld();
    setState(next);
  }

  function lose() {
    if (socket) socket.close();
    leave("lost");
    setTimeout(() => { if (state === "lost" && !socket) connect(); }, RETRY_MS);
  }

  function send(kind, value, to = socket) {
    if (to && to === socket && to.readyState === WebSocket.OPEN) to.send(JSON.stringify({ kind, value }));
  }

  function beat() {
    const now = performance.now();
    if (waitingSince && now - waitingSince > LOST_MS) {
      lose();
      return;
    }
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    if (!waitingSince) waitingSince = now;
    send("beat", now);
  }

  function heard(message) {
    waitingSince = 0;
    byId("trip").textContent = Math.round(performance.now() - message.beat);
  }

  async function draw(from, data) {
    try {
      const picture = await createImageBitmap(new Blob([data], { type: "image/jpeg" }));
      if (canvas.width !== picture.width || canvas.height !== picture.height) {
        canvas.width = picture.width;
        canvas.height = picture.height;
      }
      context.drawImage(picture, 0, 0);
      picture.close();
      document.body.dataset.drawn = "";
      drawn.push(performance.now());
    } finally {
      send("drawn", undefined, from); // the next one may be fine
    }
  }

  function showRate() {
    const since = performance.now() - 1000;
    drawn = drawn.filter((time) => time > since);
    byId("rate").textContent = state === "live" || state === "away" ? drawn.length : "–";
  }

  /* Keys. Only bound ones are taken from the browser, only while they steer, and never its own shortcuts. */

  function steers() {
    return state === "live";
  }

  function press(code) {
    if (!steers() || held.has(code)) return;
    held.add(code);
    send("down", code);
    showHeld();
  }

  function release(code) {
    if (!held.delete(code)) return;
    send("up", code);
    showHeld();
  }

  function releaseAll() {
    for (const code of [...held]) release(code);
  }

  function showHeld() {
    for (const button of document.querySelectorAll("footer button")) {
      const codes = [...button.querySelectorAll("kbd")].map((key) => key.dataset.code);
      button.classList.toggle("pressed", codes.some((code) => held.has(code)));
    }
  }

  function tellFocus() {
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    const now = document.hasFocus() && document.visibilityState === "visible";
    if (now === hasFocus) return;
    hasFocus = now;
    if (!now) releaseAll();
    send("focus", now);
    setState(now ? "live" : "away");
  }

  addEventListener("keydown", (event) => {
    if (event.key === "Meta") releaseAll(); // macOS tells of no key that is let go while Command is held
    if (!steers() || event.ctrlKey || event.altKey || event.metaKey || !bound.has(event.code)) return;
    event.preventDefault(); // no scrolling, no going back
    if (!event.repeat) press(event.code);
  });
  addEventListener("keyup", (event) => release(event.code));
  addEventListener("focus", tellFocus);
  addEventListener("blur", () => {
    releaseAll();
    tellFocus();
  });
  document.addEventListener("visibilitychange", tellFocus);
  addEventListener("pagehide", releaseAll);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  for (const button of document.querySelectorAll("footer button")) {
    const code = button.dataset.code;
    button.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the button must not take the focus: Space would press it again
      button.setPointerCapture(event.pointerId);
      press(code);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      button.addEventListener(end, () => release(code));
    }
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }
  byId("back").addEventListener("click", () => {
    setState("connecting");
    connect();
  });

  /* Keys are told by place; what is written on them differs, and some browsers know. */
  if (navigator.keyboard && navigator.keyboard.getLayoutMap) {
    navigator.keyboard.getLayoutMap().then((layout) => {
      for (const key of document.querySelectorAll("kbd")) {
        const letter = layout.get(key.dataset.code);
        if (key.dataset.code.startsWith("Key") && letter) key.textContent = letter.toUpperCase();
      }
    }, () => {});
  }

  setInterval(() => {
    tellFocus();
    beat();
    showRate();
  }, BEAT_MS);
  byId("notice").textContent = TEXTS.connecting[1];
  connect();
})();
