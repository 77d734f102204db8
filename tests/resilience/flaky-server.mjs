// An HTTP server that behaves as badly as it is told to. A process of its own, so that what a client leaves open is seen
// from the other side. GET /control?mode=… changes how GET /work is answered; GET /seen tells what there was.
import { createServer } from 'node:http';

let mode = 'fine';
let works = 0;
const sockets = new Set();

const answers = {
  fine: (_request, response) => response.end('fine'),
  error: (_request, response) => response.writeHead(503, { 'retry-after': '0' }).end('no'),
  // Every third answer comes at once.
  spikes: (request, response) => {
    if (works % 3 === 0) answers.fine(request, response);
    else setTimeout(() => answers.fine(request, response), 3_000).unref();
  },
  reset: (request) => request.socket.resetAndDestroy(),
  // The answer breaks off in its middle.
  torn: (request, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('some of it', () => request.socket.resetAndDestroy());
  },
  hang: () => {},
};

const server = createServer({ keepAliveTimeout: 500 }, (request, response) => {
  const url = new URL(request.url ?? '/', 'http://flaky');
  if (url.pathname === '/control') {
    mode = url.searchParams.get('mode') ?? 'fine';
    response.end();
  } else if (url.pathname === '/seen') {
    // The connection that asks is not counted.
    response.writeHead(200, { connection: 'close' }).end(JSON.stringify({ works, open: sockets.size - 1 }));
  } else {
    works++;
    answers[mode](request, response);
  }
});
server.on('connection', (socket) => {
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
});
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
// Ends with who started it.
process.stdin.on('end', () => process.exit(0)).resume();
