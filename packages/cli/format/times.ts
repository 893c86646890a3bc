/** An RFC 3339 time in UTC as Go's `time.Time.String()` prints it: `2006-01-02 15:04:05.123456789 +0000 UTC`. */
export function goTimeText(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)(Z|([+-]\d\d):(\d\d))$/.exec(text);
  if (!match) return text;
  const time = match[2]!.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  const zone = match[3] === "Z" ? "+0000 UTC" : `${match[4]}${match[5]} ${match[4]}${match[5]}`;
  return `${match[1]} ${time} ${zone}`;
}
