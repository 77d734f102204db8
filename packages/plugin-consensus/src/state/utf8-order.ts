// The order of keys: that of their UTF-8 bytes, found from JavaScript's UTF-16 strings without encoding them.
//
// UTF-16 code units sort as UTF-8 bytes do, except that surrogates (which stand for the highest code points) sort below
// U+E000 to U+FFFF. Moving surrogates above those repairs it.

/** Negative, zero or positive as `a` comes before, is, or comes after `b` in the order of their UTF-8 bytes. */
export function compareUtf8(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
