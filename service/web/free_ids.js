// Ids that nothing has yet. Phones name every picture image.jpg, and an upload replaces what has its id.

const LONGEST = 512; // characters of an id

// "image.jpg", 2 -> "image-2.jpg"
export function numbered(id, count) {
  const [ending] = id.match(/\.\w{1,8}$/) ?? [""];
  const tail = `-${count}${ending}`;
  return id.slice(0, Math.min(id.length - ending.length, LONGEST - tail.length)) + tail;
}

// The id itself, or it with a number. isTaken: (id) -> boolean or a promise of one. Where hundreds are taken a few
// questions are enough: steps that double find a number that is free, halving leads back to one beside a taken one.
export async function freeId(id, isTaken) {
  if (!(await isTaken(id))) return id;
  let taken = 1;
  let free = 2;
  while (await isTaken(numbered(id, free))) [taken, free] = [free, 2 * free];
  while (free - taken > 1) {
    const middle = Math.floor((taken + free) / 2);
    if (await isTaken(numbered(id, middle))) taken = middle;
    else free = middle;
  }
  return numbered(id, free);
}
