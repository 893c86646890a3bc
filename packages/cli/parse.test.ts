import { describe, expect, test } from "bun:test";
import { bool, int, list, str, value } from "./flags.ts";
import { parseSize } from "./options/sizes.ts";
import { parseArguments } from "./parse.ts";

const spec = {
  interactive: bool("i", ""),
  tty: bool("t", ""),
  publish: list("p", ""),
  env: list("e", ""),
  name: str("", ""),
  memory: value("m", "", { type: "bytes", initial: 0, parse: parseSize }),
  weight: int("", "", 0, { type: "uint16" }),
  retries: int("n", "", -1),
  proxy: bool("", "", true),
};
const parse = (...argv: string[]) => parseArguments(argv, spec, false);
const refusal = (...argv: string[]) => {
  try {
    parse(...argv);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
};

describe("options", () => {
  test("in every notation", () => {
    const { flags, args, changed } = parse(
      "-it",
      "-p80:80",
      "-p=81:81",
      "-p",
      "82:82",
      "--env=A=b",
      "--env",
      "C",
      "-eD=e",
      "--name",
      "x",
      "-m512m",
      "--proxy=false",
      "image",
      "-x",
      "--",
      "y",
    );
    expect(flags).toMatchObject({
      interactive: true,
      tty: true,
      publish: ["80:80", "81:81", "82:82"],
      env: ["A=b", "C", "D=e"],
      name: "x",
      memory: 512 << 20,
      proxy: false,
    });
    expect(args).toEqual(["image", "-x", "--", "y"]);
    expect(changed.has("name")).toBe(true);
    expect(changed.has("retries")).toBe(false);
  });
  test("a cluster ends with an option that takes the rest", () => {
    expect(parse("-itp80").flags).toMatchObject({ interactive: true, tty: true, publish: ["80"] });
    expect(parse("-ip", "80").flags.publish).toEqual(["80"]);
    expect(parse("-i=false", "-t=1").flags).toMatchObject({ interactive: false, tty: true });
  });
  test("end at the first argument, or at two dashes, or nowhere", () => {
    expect(parse("sh", "-i").args).toEqual(["sh", "-i"]);
    expect(parse("--", "-i").args).toEqual(["-i"]);
    expect(parse("-").args).toEqual(["-"]);
    expect(parseArguments(["a", "-i", "b", "--", "-t"], spec, true)).toMatchObject({
      args: ["a", "b", "-t"],
      flags: { interactive: true, tty: false },
    });
  });
  test("numbers in Go's notations", () => {
    expect(parse("-n", "-5").flags.retries).toBe(-5);
    expect(parse("-n0x10").flags.retries).toBe(16);
    expect(parse("-n", "010").flags.retries).toBe(8);
  });
  test("help wherever it stands among the options", () => {
    expect(parse("-i", "--help").help).toBe(true);
    expect(parse("-h").help).toBe(true);
    expect(parse("image", "--help").help).toBe(false);
  });
  test("are refused in pflag's words", () => {
    expect(refusal("--nope")).toBe("unknown flag: --nope");
    expect(refusal("--nope=1")).toBe("unknown flag: --nope");
    expect(refusal("--constructor")).toBe("unknown flag: --constructor");
    expect(refusal("-iz")).toBe("unknown shorthand flag: 'z' in -z");
    expect(refusal("--name")).toBe("flag needs an argument: --name");
    expect(refusal("-ip")).toBe("flag needs an argument: 'p' in -ip");
    expect(refusal("--=x")).toBe("bad flag syntax: --=x");
    expect(refusal("--tty=maybe")).toBe(
      'invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
    );
    expect(refusal("-m", "x")).toBe(`invalid argument "x" for "-m, --memory" flag: invalid size: 'x'`);
    expect(refusal("--weight", "-1")).toBe(
      'invalid argument "-1" for "--weight" flag: strconv.ParseUint: parsing "-1": invalid syntax',
    );
    expect(refusal("--weight", "70000")).toBe(
      'invalid argument "70000" for "--weight" flag: strconv.ParseUint: parsing "70000": value out of range',
    );
  });
});
