/*
A Raspberry Pi Pico on rp2040js:

    node pico.mjs --flash FILE [--usb TTY] [--uart TTY] [--die-after N] [--tear KIND]

    stdin, stdout   the board's USB serial port, raw, unless --usb names a tty for it
    stderr          events, a JSON object a line: {"event": "usb"}, {"event": "cut", …}
    SIGUSR1         tell the counters: {"event": "counters", "us": …, "erases": …, …}
    SIGTERM         write the flash back to FILE and end

FILE is the whole flash, firmware and file system. With --die-after N the power fails
in the N-th erase or program from the start, which leaves behind what KIND says
(nothing, half, "all but the last byte", all, "some cells"); the exit code is then 9.
A reset, by the watchdog or asked for, ends it with code 8. A TTY is what a port is wired to, such as one end of a pty.

Time is virtual: it passes with executed instructions at 125 MHz, and jumps to the next
alarm while the board sleeps. Flash costs none, and code in flash runs as if in RAM.
*/

import fs from 'node:fs';
import tty from 'node:tty';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { installBootrom } from './bootrom.mjs';

// The folder with node_modules/ is not above this file.
const { Simulator, USBCDC } = await import(pathToFileURL(process.env.RP2040JS));

const FLASH_START = 0x10000000;
const FLASH_SIZE = 2 * 1024 * 1024;
const STACK_TOP = 0x20041f00;
const CYCLE_NS = 1e9 / 125e6;
const CUT = 9;
const RESET = 8;
const FAULT = 3;
const INSTRUCTIONS_PER_SLICE = 200_000; // between two looks at stdin
const INSTRUCTIONS_PER_TICK = 8; // the clock need not be exact to the nanosecond

const { values: options } = parseArgs({
  options: {
    flash: { type: 'string' },
    usb: { type: 'string', default: '' },
    uart: { type: 'string', default: '' },
    'die-after': { type: 'string', default: '0' },
    tear: { type: 'string', default: 'half' },
  },
});
const dieAfter = Number(options['die-after']);

const simulator = new Simulator();
const { rp2040: mcu, clock } = simulator;

function tell(event, details = {}) {
  fs.writeSync(2, JSON.stringify({ event, ...details }) + '\n');
}

function end(code) {
  fs.writeFileSync(options.flash, mcu.flash.subarray(0, FLASH_SIZE));
  process.exit(code);
}

// Flash

const counters = { operations: 0, erases: 0, programs: 0, bytes: 0, cells: 0 };
const KINDS = ['nothing', 'half', 'all but the last byte', 'all', 'some cells'];
if (!KINDS.includes(options.tear)) throw new Error('--tear is one of ' + KINDS.join(', '));

/* Change flash as an erase or program does; data(i) is its i-th byte. */
function changeFlash(kind, start, size, data) {
  const { flash } = mcu;
  const dies = ++counters.operations === dieAfter;
  const parts = { nothing: 0, half: size >> 1, 'all but the last byte': size - 1 };
  const reached = dies ? parts[options.tear] ?? size : size;
  let random = 1 + counters.operations;
  for (let i = 0; i < reached; i++) {
    const old = flash[start + i];
    let now = kind === 'erase' ? 0xff : old & data(i);
    if (dies && options.tear === 'some cells') {
      random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff;
      const left = random >> 16; // cells that are still as they were
      now = (old & left) | (now & ~left);
    }
    if (kind === 'program' && now !== old) counters.cells++;
    flash[start + i] = now;
  }
  if (dies) {
    tell('cut', { operation: counters.operations, kind, offset: start, size });
    end(CUT);
  }
}

installBootrom(mcu, {
  erase(start, size) {
    counters.erases += size / 4096;
    changeFlash('erase', start, size);
  },
  program(start, size, data) {
    counters.programs += size / 256;
    counters.bytes += size;
    changeFlash('program', start, size, data);
  },
  halt(reason) {
    tell('halt', { reason });
    end(FAULT);
  },
});

// A reset begins with a new process: whoever runs this one starts it again.
mcu.peripherals[0x40058].onWatchdogTrigger = () => {
  tell('reset');
  end(RESET);
};

// What rp2040js 1.4.1 lacks

/* Its UART asserts the transmit interrupt for ever and has no receive timeout; a PL011 does not. */
function mendUart(uart) {
  const RECEIVED = 1 << 4, SENT = 1 << 5, TIMEOUT = 1 << 6;
  const { readUint32, writeUint32 } = uart;
  uart.checkInterrupts = function () {
    this.interruptStatus &= ~RECEIVED;
    this.rp2040.setInterrupt(this.irq, !!(this.interruptStatus & this.interruptMask));
  };
  uart.feedByte = function (byte) {
    this.rxFIFO.push(byte);
    this.interruptStatus |= TIMEOUT;
    this.checkInterrupts();
  };
  uart.writeUint32 = function (offset, value) {
    writeUint32.call(this, offset, value);
    if (offset === 0) this.interruptStatus |= SENT;
    this.checkInterrupts();
  };
  uart.readUint32 = function (offset) {
    const value = readUint32.call(this, offset);
    if (offset === 0) {
      if (this.rxFIFO.empty) this.interruptStatus &= ~TIMEOUT;
      this.checkInterrupts();
    }
    return value;
  };
}
mcu.uart.forEach(mendUart);

// It has no pull-ups: what nobody drives is high here.
mcu.gpio.forEach((pin) => pin.setInputValue(true));

/* Wire UART0 to a tty. Its FIFO is filled between two slices of instructions, which
   comes to about 115,200 baud; what the tty has no room for is lost. */
const wired = []; // bytes on their way to the board
if (options.uart) {
  const write = openLine(options.uart, (bytes) => wired.push(...bytes));
  mcu.uart[0].onByte = (byte) => write(Uint8Array.of(byte));
}

/* Give what comes from a tty to onData; return what writes to it. */
function openLine(path, onData) {
  const line = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_NOCTTY);
  new tty.ReadStream(line).on('data', onData);
  return (bytes) => {
    try {
      fs.writeSync(line, bytes);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  };
}

function feedUart() {
  const [uart] = mcu.uart;
  while (wired.length && !uart.rxFIFO.full) uart.feedByte(wired.shift());
}

mcu.logger = { debug() {}, info() {}, warn() {}, error: (part, text) => tell('error', { part, text }) };
console.warn = console.log = () => {}; // of registers it does not know; stdout is the board's

// USB

const typed = []; // bytes that the board has not read
let room = 0; // for how many it has asked
const usb = new USBCDC(mcu.usbCtrl);
usb.onDeviceConnected = () => tell('usb');
usb.onSerialData = (bytes) => writeUsb(Buffer.from(bytes));

/* rp2040js answers at once, with an empty packet if need be: 2,500 of them in each of the
   board's seconds, which took two thirds of its time. A host has nothing to say then. */
const { onEndpointRead } = mcu.usbCtrl;
mcu.usbCtrl.onEndpointRead = (endpoint, size) => {
  if (endpoint !== usb.outEndpoint) onEndpointRead(endpoint, size);
  else room = size;
  type();
};

function type() {
  if (!room || !typed.length) return;
  const packet = Uint8Array.from(typed.splice(0, room));
  room = 0;
  mcu.usbCtrl.endpointReadDone(usb.outEndpoint, packet);
}

const writeUsb = options.usb
  ? openLine(options.usb, (bytes) => typed.push(...bytes))
  : (bytes) => fs.writeSync(1, bytes);
process.stdin.on('data', (bytes) => typed.push(...bytes));
process.stdin.on('end', () => end(0)); // whoever started it is gone
process.on('SIGTERM', () => end(0));
process.on('SIGUSR1', () => tell('counters', { us: Math.round(clock.nanos / 1e3), ...counters }));

// Time

function run() {
  const { core } = mcu;
  let slept_ns = 0;
  for (let done = 0; done < INSTRUCTIONS_PER_SLICE; ) {
    let cycles = 0;
    for (let i = 0; i < INSTRUCTIONS_PER_TICK && !core.waiting; i++) {
      cycles += core.executeInstruction();
    }
    done += INSTRUCTIONS_PER_TICK;
    clock.tick(cycles * CYCLE_NS);
    if (core.waiting) {
      const sleep_ns = clock.nanosToNextAlarm;
      clock.tick(sleep_ns);
      slept_ns += sleep_ns;
      done += INSTRUCTIONS_PER_SLICE / 100;
    }
  }
  type();
  feedUart();
  if (slept_ns > 1e6 && !typed.length && !wired.length) setTimeout(run, 1); // leave the computer to others
  else setImmediate(run);
}

mcu.flash.set(fs.readFileSync(options.flash));
mcu.core.registers[13] = STACK_TOP;
mcu.core.PC = FLASH_START;
run();
