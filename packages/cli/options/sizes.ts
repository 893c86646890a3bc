const POWERS: Record<string, number> = { b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** A size with a binary unit (`512m`, `1.5GiB`, `64`) in bytes. Throws an Error for anything else. */
export function parseSize(text: string): number {
  const end = Math.max(
    ...["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", ".", " "].map((char) => text.lastIndexOf(char)),
  );
  if (end < 0) throw new Error(`invalid size: '${text}'`);
  const number = text.slice(0, end + 1).replace(/ $/, "");
  const suffix = text.slice(end + 1).toLowerCase();
  if (!/^(\d+\.?\d*|\.\d+)$/.test(number)) throw new Error(`invalid size: '${text}'`);
  const power = suffix === "" ? 0 : POWERS[suffix[0]!];
  if (power === undefined || !/^(|b|[kmgtp](i?b)?)$/.test(suffix))
    throw new Error(`invalid suffix: '${text.slice(end + 1)}'`);
  return Math.trunc(Number(number) * 1024 ** power);
}

/** As parseSize, with `-1` for no limit. */
export function parseSwapSize(text: string): number {
  return text === "-1" ? -1 : parseSize(text);
}

const NANOSECONDS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** A Go duration (`1h30m`, `500ms`, `-1.5s`) in nanoseconds. Throws an Error for anything else. */
export function parseDuration(text: string): number {
  const invalid = () => new Error(`time: invalid duration ${JSON.stringify(text)}`);
  const sign = text.startsWith("-") ? -1 : 1;
  const body = text.replace(/^[+-]/, "");
  if (body === "0") return 0;
  if (!body) throw invalid();
  let total = 0;
  let rest = body;
  while (rest) {
    const match = /^(\d+\.?\d*|\.\d+)([a-zµμ]*)/.exec(rest);
    if (!match) throw invalid();
    if (!match[2]) throw new Error(`time: missing unit in duration ${JSON.stringify(text)}`);
    const unit = NANOSECONDS[match[2]];
    if (unit === undefined)
      throw new Error(`time: unknown unit ${JSON.stringify(match[2])} in duration ${JSON.stringify(text)}`);
    total += Number(match[1]) * unit;
    rest = rest.slice(match[0].length);
  }
  return sign * Math.round(total);
}

/** A number of CPUs (`1.5`, `1/2`) in billionths. Throws an Error for anything else. */
export function parseCpus(text: string): number {
  const match = /^([+-]?\d*\.?\d*)(?:\/(\d+))?$/.exec(text);
  const number = Number(match?.[1] || Number.NaN);
  const divisor = match?.[2] ? Number(match[2]) : 1;
  if (Number.isNaN(number) || divisor === 0) throw new Error(`failed to parse ${text} as a rational number`);
  const nano = (number * 1e9) / divisor;
  if (Math.abs(nano - Math.round(nano)) > 1e-6) throw new Error("value is too precise");
  return Math.round(nano);
}
