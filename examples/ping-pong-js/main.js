'use strict'

// Testground's ping-pong on its JavaScript SDK: two instances, one TCP connection, at 100 ms and then at 10 ms.
// Nothing in here knows of `shaper`; the environment says everything, as Testground's runners set it.

const { once } = require('events')
const net = require('net')
const { invokeMap, network } = require('@testground/sdk')

const PORT = 1234
const MS = 1000 * 1000 // The SDK takes nanoseconds.

// The SDK itself waits for ever, and ends with success whatever the plan throws.
const PATIENCE_MS = 60 * 1000
setTimeout(() => fail(`not done in ${PATIENCE_MS} ms`), PATIENCE_MS).unref()

function fail (reason) {
  console.error(`failed: ${reason}`)
  process.exit(1)
}

invokeMap({
  'ping-pong': async (runenv, client) => pingPong(runenv, client).catch((error) => fail(error.message))
})

async function pingPong (runenv, client) {
  const instances = runenv.testInstanceCount
  const sidecar = network.newClient(client, runenv)
  await sidecar.waitNetworkInitialized()

  const config = {
    network: 'default',
    enable: true,
    default: { latency: 100 * MS, bandwidth: 1 << 20 },
    callbackState: 'network-configured',
    routingPolicy: network.DENY_ALL
  }
  const before = sidecar.getDataNetworkIP()
  await sidecar.configureNetwork(config)
  check(sidecar.getDataNetworkIP() === before, 'a shape changed the address')

  // Who is first gets 1, and listens on all addresses: also on the one that is still to come.
  const seq = await client.signalAndWait('ip-allocation', instances)
  const listener = seq === 1 ? net.createServer({ noDelay: true }).listen(PORT, '0.0.0.0') : null
  const accepted = listener && once(listener, 'connection')

  const [a, b] = before.split('.')
  const own = `${a}.${b}.1.${seq}`
  config.IPv4 = `${own}/${runenv.testSubnet[1]}`
  config.callbackState = 'ip-changed'
  await sidecar.configureNetwork(config)
  check(sidecar.getDataNetworkIP() === own, `asked for the address ${own}, got ${sidecar.getDataNetworkIP()}`)

  const peer = await exchange(client, own)
  const socket = listener ? (await accepted)[0] : net.connect({ port: PORT, host: peer, noDelay: true })

  await measure(socket, seq, 100, 200, 215)
  await client.signalAndWait('ping-pong-200', instances)

  // The same connection, with nothing but the latency changed.
  config.default.latency = 10 * MS
  config.callbackState = 'latency-reduced'
  await sidecar.configureNetwork(config)
  await measure(socket, seq, 10, 20, 35)
  await client.signalAndWait('ping-pong-10', instances)

  socket.destroy()
  if (listener) listener.close()
}

// Tells the own address, and returns that of the other instance.
async function exchange (client, own) {
  await client.publish('peers', own)
  const peers = await client.subscribe('peers')
  for await (const address of peers.wait) {
    if (address !== own) {
      peers.cancel()
      return address
    }
  }
}

// Both play at the same time: each serves, returns the other's ball and waits for its own.
async function measure (socket, ball, latency, from, to) {
  // Ready?
  socket.write(Buffer.of(0))
  await readByte(socket)

  const start = process.hrtime.bigint()
  socket.write(Buffer.of(ball))
  socket.write(Buffer.of(await readByte(socket)))
  const back = await readByte(socket)
  const rtt = Number(process.hrtime.bigint() - start) / MS
  check(back === ball, `served ${ball}, got ${back} back`)

  const line = `ball ${ball}, ${latency} ms each way: RTT ${rtt.toFixed(3)} ms`
  console.log(`${line}, ${from} to ${to} ms wanted`)
  check(rtt >= from && rtt <= to, `${line}, which is not within ${from} to ${to} ms`)
}

function check (isMet, otherwise) {
  if (!isMet) throw new Error(otherwise)
}

async function readByte (socket) {
  for (;;) {
    const byte = socket.read(1)
    if (byte) return byte[0]
    await once(socket, 'readable')
  }
}
