import { expect, test } from "bun:test";
import type { LogInfo } from "./info.ts";
import { logTag } from "./tag.ts";

const info: LogInfo = {
  config: { labels: "tier", env: "STAGE" },
  containerId: "0123456789abcdef".repeat(4),
  containerName: "/web",
  command: "sh -c true",
  imageId: `sha256:${"ab".repeat(32)}`,
  imageName: "busybox:latest",
  created: "2026-01-02T03:04:05Z",
  labels: { tier: "front", other: "x" },
  env: ["STAGE=prod", "SECRET=y"],
};
const tag = (template: string) => logTag({ ...info, config: { ...info.config, tag: template } });

test.each([
  ["", "0123456789ab"],
  ["{{.Name}}/{{.ID}}", "web/0123456789ab"],
  ["{{.FullID}}", info.containerId],
  ["{{.ImageID}} {{.ImageFullID}}", `sha256:ababa ${info.imageId}`],
  ["{{.ImageName}}|{{.ImageFullName}}|{{.DaemonName}}", "busybox:latest|busybox:latest|docker"],
  ["plain text", "plain text"],
  ["{{.Name | upper}}", "WEB"],
  ['{{join (split .ImageName ":") "-"}}', "busybox-latest"],
  ["{{truncate .FullID 4}}", "0123"],
  ["{{(.ExtraAttributes nil).STAGE}}", "prod"],
  ["{{with (.ExtraAttributes nil).tier}}{{.}}{{end}}", "front"],
  ["{{if .Name}}a{{else}}b{{end}}", "a"],
  ["{{(.ExtraAttributes nil).SECRET}}", "<no value>"],
  ['{{index .ContainerLabels "other"}}', "x"],
  ['{{printf "%s-%s" .Name .ID}}', "web-0123456789ab"],
  ["a {{- .Name -}} b{{/* nothing */}}", "awebb"],
  ['{{"}}"}}', "}}"],
])("%s", (template, result) => expect(tag(template)).toBe(result));

test.each([
  [
    "{{.Nope}}",
    'template: log-tag:1:2: executing "log-tag" at <.Nope>: can\'t evaluate field Nope in type *logger.Info',
  ],
  ["{{.ID", "template: log-tag:1: unclosed action"],
  ["{{nope .ID}}", 'template: log-tag:1: function "nope" not defined'],
  ["{{if .ID}}x", "template: log-tag:1: unexpected EOF"],
  ["{{end}}", "template: log-tag:1: unexpected {{end}}"],
  ["{{}}", "template: log-tag:1: missing value for command"],
  ["{{.__proto__}}", "can't evaluate field __proto__"],
  ["{{constructor}}", "not defined"],
])("%s is refused", (template, message) => expect(() => tag(template)).toThrow(message));
