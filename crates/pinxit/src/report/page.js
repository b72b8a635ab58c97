const strip = [...document.querySelectorAll(".strip img")];
const view = document.querySelector(".view img");
const slider = document.querySelector(".controls input");
const label = document.querySelector(".controls output");
const play = document.querySelector(".controls button");
let timer = 0;
const show = (i) => {
  slider.value = i;
  view.src = strip[i].src;
  label.textContent = "step " + strip[i].dataset.step;
  strip.forEach((img, j) => img.classList.toggle("now", i === j));
};
const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
slider.oninput = () => { stop(); show(Number(slider.value)); };
strip.forEach((img, i) => { img.onclick = () => { stop(); show(i); }; });
play.onclick = () => {
  if (timer) return stop();
  let i = Number(slider.value) + 1 < strip.length ? Number(slider.value) : -1;
  play.textContent = "Pause";
  timer = setInterval(() => { show(++i); if (i + 1 === strip.length) stop(); }, 450);
};
show(strip.length - 1);
