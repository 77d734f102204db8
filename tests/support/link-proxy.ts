// A TCP proxy for the link from one node to another, which a test can cut: the peers see a network that went silent.

import { createServer, connect } from 'node:net';
import type { Server, Socket } from 'node:net';
import { once } from 'node:events';

/** One direction of dialling between two nodes, through a port of its own. */
export class LinkProxy {
  private readonly sockets = new Set<Socket>();
  private open = true;

  private constructor(private readonly server: Server) {}

  static async start(port: number, targetPort: number): Promise<LinkProxy> {
    const server = createServer({ pauseOnConnect: true });
    const proxy = new LinkProxy(server);
    server.on('connection', (near) => proxy.join(near, targetPort));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  private join(near: Socket, targetPort: number): void {
    const far = connect({ port: targetPort, host: '127.0.0.1' });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      // A broken connection is what this proxy is for; the peers see it and the test goes on.
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
      if (!this.open) socket.pause();
    }
  }

  /** Lets nothing through any more, without closing anything: what is sent waits, as in a network that drops it. */
  cut(): void {
    this.open = false;
    for (const socket of this.sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** Lets everything through again. Connections from before the cut are broken, as after a long silence. */
  heal(): void {
    this.open = true;
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}
