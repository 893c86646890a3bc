import { describe, expect, test } from "bun:test";
import { goJson, goPrintf, goValue } from "./go-print.ts";
import { indentJson } from "./json-indent.ts";
import { displayPorts } from "./ports.ts";
import { formatListing } from "./table.ts";
import { alignColumns } from "./tabwriter.ts";
import { compileTemplate } from "./template.ts";
import { goTimeText } from "./times.ts";
import { binarySize, humanDuration, humanSize, significant } from "./units.ts";

describe("columns", () => {
  test("as wide as their widest cell, at least ten", () => {
    expect(alignColumns("A\tB\nabcdefghijkl\tx\n")).toBe("A              B\nabcdefghijkl   x\n");
    expect(alignColumns("A\tB\nx\ty\n")).toBe("A         B\nx         y\n");
  });
  test("end where lines have fewer cells", () => {
    expect(alignColumns("a\tb\tc\nlonger than ten\nx\ty\tz\n")).toBe(
      "a         b         c\nlonger than ten\nx         y         z\n",
    );
  });
  test("count characters, not bytes", () => {
    expect(alignColumns("ééééééééééé\tx\na\ty\n")).toBe("ééééééééééé   x\na             y\n");
  });
});

describe("units", () => {
  test("sizes", () => {
    expect([0, 999, 1000, 1984000, 120e6, 1e15].map((size) => humanSize(size, 3))).toEqual([
      "0B",
      "999B",
      "1kB",
      "1.98MB",
      "120MB",
      "1PB",
    ]);
    expect(humanSize(999999, 3)).toBe("1e+03kB");
    expect([0, 1023, 1024, 483328, 25276000000].map(binarySize)).toEqual(["0B", "1023B", "1KiB", "472KiB", "23.54GiB"]);
  });
  test("durations", () => {
    const s = 1000;
    const cases: [number, string][] = [
      [0, "Less than a second"],
      [s, "1 second"],
      [59 * s, "59 seconds"],
      [60 * s, "About a minute"],
      [119 * s, "About a minute"],
      [120 * s, "2 minutes"],
      [3600 * s, "About an hour"],
      [5400 * s, "2 hours"],
      [47 * 3600 * s, "47 hours"],
      [48 * 3600 * s, "2 days"],
      [14 * 86400 * s, "2 weeks"],
      [60 * 86400 * s, "2 months"],
      [730 * 86400 * s, "2 years"],
    ];
    for (const [ms, text] of cases) expect(humanDuration(ms)).toBe(text);
  });
  test("significant digits", () => {
    expect([1.984, 0.00001234, 1234.5, 100, 0].map((n) => significant(n, 3))).toEqual([
      "1.98",
      "1.23e-05",
      "1.23e+03",
      "100",
      "0",
    ]);
  });
  test("times", () => {
    expect(goTimeText("2025-11-21T01:26:00.120Z")).toBe("2025-11-21 01:26:00.12 +0000 UTC");
    expect(goTimeText("2025-11-21T01:26:00+02:00")).toBe("2025-11-21 01:26:00 +0200 +0200");
  });
});

describe("templates", () => {
  const data = {
    Name: "web",
    Count: 3,
    Tags: ["a", "b"],
    Map: { z: 1, a: "x" },
    Nested: { Deep: { Value: true } },
    Empty: [],
    Nil: null,
  };
  const apply = (source: string, value: unknown = data) => compileTemplate(source).apply(value);
  const cases: [source: string, result: string][] = [
    ["plain", "plain"],
    ["{{.Name}}-{{.Count}}", "web-3"],
    ["{{.Nested.Deep.Value}}", "true"],
    ["{{.Missing}}", "<no value>"],
    ["{{.Tags}} {{.Map}} {{.Empty}}", "[a b] map[a:x z:1] []"],
    ["{{if .Count}}yes{{else}}no{{end}}", "yes"],
    ["{{if .Empty}}yes{{else if .Name}}name{{else}}no{{end}}", "name"],
    ["{{if and .Name (not .Empty)}}y{{end}}{{if or .Empty .Nil}}n{{end}}", "y"],
    ["{{range .Tags}}<{{.}}>{{end}}", "<a><b>"],
    ["{{range .Empty}}x{{else}}none{{end}}", "none"],
    ["{{range $i, $t := .Tags}}{{$i}}={{$t}};{{end}}", "0=a;1=b;"],
    ["{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}", "a=x;z=1;"],
    ['{{range .Tags}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"],
    ['{{range .Tags}}{{if eq . "a"}}{{continue}}{{end}}{{.}}{{end}}', "b"],
    ["{{with .Nested}}{{.Deep.Value}}{{end}}", "true"],
    ["{{with .Nil}}x{{else}}y{{end}}", "y"],
    ['{{$x := .Name}}{{$x}}{{$x = "new"}}{{$x}}', "webnew"],
    ["{{with .Nested}}{{$.Name}}{{end}}", "web"],
    ['{{index .Tags 1}} {{index .Map "a"}} {{index .Map "none"}}', "b x <no value>"],
    ["{{len .Tags}} {{len .Name}} {{len .Map}}", "2 3 2"],
    ['{{.Name | upper | printf "%s!"}}', "WEB!"],
    ['{{join .Tags ","}} {{index (split "a/b" "/") 1}}', "a,b b"],
    [
      "{{json .}}",
      '{"Name":"web","Count":3,"Tags":["a","b"],"Map":{"z":1,"a":"x"},"Nested":{"Deep":{"Value":true}},"Empty":[],"Nil":null}',
    ],
    ['{{title "hello world"}} {{lower "ABC"}} {{truncate "abcdef" 3}} {{pad "x" 1 2}}|', "Hello World abc abc  x  |"],
    ["{{slice .Name 0 2}} {{slice .Tags 1}}", "we [b]"],
    ['{{println "a" 1}}', "a 1\n"],
    ['{{print "a" 1 2 "b"}}', "a1 2b"],
    [
      '{{printf "%05.1f|%-4s|%4d|%q|%v|%x|%t|%%" 3.14159 "ab" 7 "q" .Tags 255 true}}',
      '003.1|ab  |   7|"q"|[a b]|ff|true|%',
    ],
    ['a {{- " b " -}} c', "a b c"],
    ["{{/* nothing */}}x{{- /* at all */ -}} y", "xy"],
    ['{{"q\\"\\n\\t\\u00e9"}}{{`raw\\n`}}', 'q"\n\té' + "raw\\n"],
    ['{{eq .Count 1 2 3}} {{lt 1 2}} {{ge "b" "a"}} {{ne 1 1}}', "true true true false"],
    ["{{(index .Tags 0)}} {{(.Nested).Deep.Value}}", "a true"],
    ['{{html "<a&b>"}} {{urlquery "a b/c"}}', "&lt;a&amp;b&gt; a+b%2Fc"],
    ["{{true}} {{1.5}} {{-3}} {{0x10}}", "true 1.5 -3 16"],
  ];
  for (const [source, result] of cases) test(source, () => expect(apply(source)).toBe(result));

  const refusals: [source: string, message: string][] = [
    ["{{", "unclosed action"],
    ["{{.Name", "unclosed action"],
    ["{{if .Name}}x", "unexpected EOF"],
    ["{{end}}", "unexpected {{end}}"],
    ["{{else}}", "unexpected {{else}}"],
    ["{{nope .}}", 'function "nope" not defined'],
    ["{{range .Tags}}{{nope}}{{end}}", 'function "nope" not defined'],
    ['{{"open}}', "unterminated quoted string"],
    ["{{}}", "missing value for command"],
    ["{{.Name | }}", "missing value for command"],
    ["{{(.Name}}", "unclosed left paren"],
    ['{{template "x"}}', "unexpected <template> in command"],
    ["{{.Name.Deeper}}", "can't evaluate field Deeper"],
    ["{{index .Tags 9}}", "index out of range: 9"],
    ['{{lt 1 "a"}}', "incompatible types for comparison"],
    ["{{range .Name}}{{end}}", "range can't iterate over"],
    [`${"{{if .}}".repeat(200)}`, "nested too deeply"],
    [`{{${"(".repeat(300)}1`, "unclosed"],
  ];
  for (const [source, message] of refusals) {
    test(`refused: ${source.slice(0, 40)}`, () => expect(() => apply(source)).toThrow(message));
  }

  test("documents of the engine have Go's types", () => {
    const inspect = {
      Id: "abc",
      State: { Status: "running" },
      HostConfig: {
        Binds: null,
        RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
        LogConfig: { Type: "json-file", Config: {} },
      },
      Config: { ExposedPorts: { "80/tcp": {} }, Labels: null },
    };
    const typed = (source: string) => compileTemplate(source, { typed: true }).apply(inspect);
    expect(typed("{{.ID}} {{.HostConfig.Binds}} {{.HostConfig.RestartPolicy}} {{.HostConfig.LogConfig}}")).toBe(
      "abc [] {no 0} {json-file map[]}",
    );
    expect(typed("{{.Config.ExposedPorts}} {{.Config.Labels}} {{.State.Health}}")).toBe("map[80/tcp:{}] map[] <nil>");
    expect(typed("{{if .State.Health}}a{{else}}b{{end}}")).toBe("b");
    expect(() => typed("{{.State.Health.Status}}")).toThrow(
      'template: :1:8: executing "" at <.State.Health.Status>: map has no entry for key "Health"',
    );
    expect(() => typed("a{{.Nope}}")).toThrow(
      'template: :1:3: executing "" at <.Nope>: map has no entry for key "Nope"',
    );
  });

  test("a template cannot reach beyond the data", () => {
    expect(apply('{{.constructor}} {{.__proto__}} {{index .Map "toString"}}')).toBe("<no value> <no value> <no value>");
    expect(() => apply("{{constructor .}}")).toThrow("not defined");
  });
});

describe("printing", () => {
  test("values", () => {
    expect(goValue(null)).toBe("<no value>");
    expect(goValue([null, 1.5, true, { b: "x" }])).toBe("[<nil> 1.5 true map[b:x]]");
    expect(goValue(1e15)).toBe("1000000000000000");
    expect(goJson({ a: "<&>\u2028" })).toBe('{"a":"\\u003c\\u0026\\u003e\\u2028"}');
  });
  test("wrong verbs and counts, as Go tells them", () => {
    expect(goPrintf("%d", ["x"])).toBe("%!d(string=x)");
    expect(goPrintf("%s", [1])).toBe("%!s(int=1)");
    expect(goPrintf("%s %s", ["a"])).toBe("a %!s(MISSING)");
    expect(goPrintf("%s", ["a", "b"])).toBe("a%!(EXTRA string=b)");
  });
  test("JSON is indented without touching its values", () => {
    expect(indentJson('[{"a":12345678901234567890,"b":"\\u003c: {\\"","c":[],"d":{},"e":[ 1,{"f":null}]}]')).toBe(
      '[\n    {\n        "a": 12345678901234567890,\n        "b": "\\u003c: {\\"",\n        "c": [],\n        "d": {},\n        "e": [\n            1,\n            {\n                "f": null\n            }\n        ]\n    }\n]',
    );
  });
});

describe("listings", () => {
  const rows = [
    { id: "abc", label: "x" },
    { id: "defghijklmno", label: "" },
  ];
  const listing = {
    rows,
    fields: (row: (typeof rows)[number]) => ({ ID: () => row.id, Label: (name: string) => `${name}:${row.label}` }),
    headers: { ID: "THING ID" },
    columns: ["ID"],
    key: "ID",
  };
  test("as a table, as JSON, by templates, quietly", async () => {
    expect(await formatListing(listing, "")).toBe("THING ID\nabc\ndefghijklmno\n");
    expect(await formatListing(listing, "json")).toBe('{"ID":"abc"}\n{"ID":"defghijklmno"}\n');
    expect(await formatListing(listing, 'table {{.ID}}\\t{{.Label "com.some-label"}}')).toBe(
      "THING ID       some label\nabc            com.some-label:x\ndefghijklmno   com.some-label:\n",
    );
    expect(await formatListing(listing, "{{.ID}}\\n-")).toBe("abc\n-\ndefghijklmno\n-\n");
    expect(await formatListing(listing, "", true)).toBe("abc\ndefghijklmno\n");
    expect(formatListing(listing, "{{.Nope}}")).rejects.toThrow("failed to execute template");
    expect(formatListing(listing, "{{")).rejects.toThrow("failed to parse template: template: :1: unclosed action");
  });
});

describe("ports", () => {
  const port = (PrivatePort: number, PublicPort?: number, IP?: string, Type = "tcp") => ({
    PrivatePort,
    Type,
    ...(PublicPort ? { PublicPort } : {}),
    ...(IP ? { IP } : {}),
  });
  test("neighbours become ranges", () => {
    expect(displayPorts([port(81), port(80), port(82), port(90)])).toBe("80-82/tcp, 90/tcp");
    expect(displayPorts([port(80, 80, "0.0.0.0"), port(81, 81, "0.0.0.0")])).toBe("0.0.0.0:80-81->80-81/tcp");
    expect(displayPorts([port(80, 8080, "0.0.0.0"), port(80, 8080, "::"), port(53, 0, "", "udp")])).toBe(
      "53/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
    );
    expect(displayPorts([])).toBe("");
  });
});
