import { type Context, type Route, route } from "../http/index.ts";

/** GET and HEAD /_ping: the first thing each client asks. */
export function pingRoutes(): Route[] {
  const answer = (body: string | null) => (context: Context) => {
    context.send(
      200,
      {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "no-cache, no-store, must-revalidate",
        Pragma: "no-cache",
        "Builder-Version": "1",
        Swarm: "inactive",
      },
      body,
    );
  };
  return [route("GET", "/_ping", {}, answer("OK")), route("HEAD", "/_ping", {}, answer(null))];
}
