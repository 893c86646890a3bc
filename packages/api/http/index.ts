/** HTTP/1.1 on Bun's sockets: parser, streams with back-pressure, hijack; and the router on top of it. */
export { RequestBody } from "./body.ts";
export { Connection, type Handler } from "./connection.ts";
export { Exchange, type Headers, ResponseStream } from "./exchange.ts";
export { HttpError, MAX_HEAD, parseHead, type RequestHead } from "./head.ts";
export { Hijacked } from "./hijack.ts";
export { type Listening, listenTcp, listenUnix, type TlsOptions } from "./listen.ts";
export { boolValue, intValue } from "./query.ts";
export { type Context, MAX_API, MIN_API, type Route, Router, route } from "./router.ts";
export { WebSocketStream } from "./websocket.ts";
