import { describe, expect, test } from "bun:test";
import { detectSyntax } from "./directives.ts";
import { parseFile, parseNamedFile } from "./parser.ts";

const names = (text: string) => parseFile(text).nodes.map((node) => [node.name, ...node.args]);

describe("lines", () => {
  test("continuations, comments and blank lines between them", () => {
    expect(names("FROM a\nRUN one \\\n  # a comment\n\n  two \\  \n three\n#end\nCMD x")).toEqual([
      ["FROM", "a"],
      ["RUN", "one   two  three"],
      ["CMD", "x"],
    ]);
  });
  test("an empty continuation line is told", () => {
    expect(parseFile("RUN a \\\n\n b").warnings).toEqual(["Empty continuation line found in: RUN a  b"]);
  });
  test("an escaped escape does not continue", () => {
    expect(names("RUN echo \\\\\nRUN b")).toEqual([
      ["RUN", "echo \\\\"],
      ["RUN", "b"],
    ]);
  });
  test("continuation at the end of the file", () => {
    expect(names("RUN a \\")).toEqual([["RUN", "a"]]);
  });
  test("line numbers", () => {
    const { nodes } = parseFile("\n#c\nFROM a\n\nRUN b \\\n c\nCMD d");
    expect(nodes.map((node) => [node.startLine, node.endLine])).toEqual([
      [3, 3],
      [5, 6],
      [7, 7],
    ]);
  });
  test("a BOM and CRLF", () => {
    expect(names("\uFEFFFROM a\r\nRUN b\r\n")).toEqual([
      ["FROM", "a"],
      ["RUN", "b"],
    ]);
  });
});

describe("directives", () => {
  test("escape changes the continuation", () => {
    const file = parseFile("# syntax=docker/dockerfile:1\n# Escape = `\nFROM a\nRUN b `\n c\\");
    expect(file.directives).toEqual({ escape: "`", syntax: "docker/dockerfile:1" });
    expect(file.nodes[1]!.args).toEqual(["b  c\\"]);
  });
  test("only at the top", () => {
    expect(parseFile("# a comment\n# escape=`\nRUN a \\\n b").directives.escape).toBe("\\");
    expect(parseFile("\n# escape=`\nRUN a").directives.escape).toBe("\\");
    expect(parseFile("# unknown=1\n# escape=`\nRUN a").directives.escape).toBe("\\");
  });
  test("refused", () => {
    expect(() => parseFile("# escape=x\nRUN a")).toThrow("invalid escape token 'x' does not match ` or \\");
    expect(() => parseFile("# escape=`\n# escape=`\nRUN a")).toThrow("only one escape parser directive can be used");
  });
  test.each([
    ["# syntax=a:1\nFROM b", "a:1"],
    ["#!/usr/bin/env x\n# check=skip=all\n# syntax = a b\n", "a"],
    ["// syntax=x/y\n", "x/y"],
    ['{"syntax": "j"}', "j"],
    ["FROM a\n# syntax=b", undefined],
  ] as [string, string | undefined][])("syntax of %j: %s", (text, expected) => {
    expect(detectSyntax(text)).toBe(expected);
  });
});

describe("arguments", () => {
  test("JSON or words", () => {
    expect(parseFile('COPY ["a b", "c/"]').nodes[0]).toMatchObject({ args: ["a b", "c/"], json: true });
    expect(parseFile("COPY a  b\tc").nodes[0]).toMatchObject({ args: ["a", "b", "c"], json: false });
    expect(parseFile("CMD ['a', 'b']").nodes[0]).toMatchObject({ args: ["['a', 'b']"], json: false });
    expect(parseFile('CMD ["a"').nodes[0]).toMatchObject({ args: ['["a"'], json: false });
    expect(parseFile("CMD []").nodes[0]).toMatchObject({ args: [], json: true });
    expect(() => parseFile("CMD [1, true]")).toThrow("arrays must be comprised of strings only");
  });
  test("flags, quoted and escaped", () => {
    const [node] = parseFile("COPY --from=a '--chown=b c' --link x y").nodes;
    expect(node).toMatchObject({ flags: ["--from=a"], args: ["'--chown=b", "c'", "--link", "x", "y"] });
    expect(parseFile("RUN --mount='type=bind,source=a b' --network=none -- --x").nodes[0]).toMatchObject({
      flags: ["--mount=type=bind,source=a b", "--network=none"],
      args: ["--x"],
    });
  });
  test("ENV in both forms", () => {
    expect(parseFile("ENV a b  c").nodes[0]!.pairs).toEqual([{ key: "a", value: "b  c", delimited: false }]);
    expect(parseFile("ENV a=b\\ c d=\"e f\" g='h' i=").nodes[0]!.pairs).toEqual([
      { key: "a", value: "b\\ c", delimited: true },
      { key: "d", value: '"e f"', delimited: true },
      { key: "g", value: "'h'", delimited: true },
      { key: "i", value: "", delimited: true },
    ]);
    expect(() => parseFile("ENV a")).toThrow("ENV must have two arguments");
    expect(() => parseFile("LABEL a=b c")).toThrow(
      'Syntax error - can\'t find = in "c". Must be of the form: name=value',
    );
  });
  test("ONBUILD holds an instruction", () => {
    expect(parseFile("ONBUILD COPY --chown=a b c").nodes[0]!.child).toMatchObject({
      name: "COPY",
      flags: ["--chown=a"],
      args: ["b", "c"],
    });
  });
});

describe("heredocs", () => {
  test("bodies, quoted names, tabs", () => {
    const [run] = parseFile("RUN <<A cat <<-'B' > f\none $X\nA\n\ttwo\n\tB\nCMD x").nodes;
    expect(run!.heredocs).toEqual([
      { name: "A", fd: 0, expand: true, chomp: false, content: "one $X\n" },
      { name: "B", fd: 0, expand: false, chomp: true, content: "\ttwo\n" },
    ]);
    expect(run!.endLine).toBe(5);
  });
  test("comments and continuations in a body are its text", () => {
    const [run, cmd] = parseFile("RUN <<EOF\n# c\na \\\nb\n\nEOF\nCMD y").nodes;
    expect(run!.heredocs[0]!.content).toBe("# c\na \\\nb\n\n");
    expect(cmd!.args).toEqual(["y"]);
  });
  test("in ONBUILD, with a file descriptor", () => {
    const [node] = parseFile("ONBUILD RUN cat 3<<X\nhi\nX").nodes;
    expect(node!.heredocs).toMatchObject([{ name: "X", fd: 3, content: "hi\n" }]);
  });
  test("not in quotes, JSON or other instructions", () => {
    expect(parseFile('RUN echo "<<A"').nodes[0]!.heredocs).toEqual([]);
    expect(parseFile('COPY ["<<A", "b"]').nodes[0]!.heredocs).toEqual([]);
    expect(parseFile("CMD cat <<A").nodes[0]!.heredocs).toEqual([]);
    expect(parseFile("RUN a <<<b").nodes[0]!.heredocs).toEqual([]);
  });
  test("never ended", () => {
    expect(() => parseFile("RUN <<A\nx")).toThrow("unterminated heredoc");
  });
});

describe("refused files", () => {
  test("empty ones", () => {
    expect(() => parseNamedFile("", "D")).toThrow("the Dockerfile (D) cannot be empty");
    expect(() => parseNamedFile("#c\n\n", "D")).toThrow("failed to parse D: file with no instructions");
  });
  test("a line that is too long", () => {
    expect(() => parseFile(`RUN ${"x".repeat(70000)}`)).toThrow(
      "dockerfile line greater than max allowed size of 65535",
    );
  });
  test("random bytes never crash it", () => {
    const pieces = [
      "FROM a\n",
      "RUN ",
      "<<",
      "EOF\n",
      '["',
      '"]',
      "\\\n",
      "'",
      '"',
      "$",
      "{",
      "}",
      "#",
      "=",
      "--",
      "\t",
      "ENV ",
      "\0",
      "é",
      "ONBUILD ",
    ];
    let seed = 7;
    const next = (n: number) => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed % n;
    };
    for (let i = 0; i < 2000; i++) {
      const text = Array.from({ length: next(30) }, () => pieces[next(pieces.length)]).join("");
      try {
        parseFile(text);
      } catch (error) {
        expect((error as Error).name).toBe("GantryError");
      }
    }
  });
});
