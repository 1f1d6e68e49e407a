/*
The RP2040's boot ROM, as far as the pico-sdk calls it; rp2040js comes without one.

Every entry is a `bkpt #n; bx lr`, and what it stands for happens in JavaScript: so each
erase and program of the flash passes through one place, where the power can fail.
Layout and function codes: RP2040 data sheet, section 2.8 "Bootrom".
*/

const ROM_SIZE = 16384;
const CODE = 0x200; // entries, 4 bytes each
const FUNCTION_TABLE = 0x1000;
const SOFT_FLOAT = 0x2004;
const SOFT_DOUBLE = 0x2104;
const SOFT_TABLE_SIZE = 0x80;
const BKPT = 0xbe00;
const BX_LR = 0x4770;
const TRAP_COUNT_MAX = 256; // bkpt has 8 bits

/* flash: {erase(start, size), program(start, size, data), halt(reason)}, offsets in the flash */
export function installBootrom(mcu, flash) {
  const rom = new Uint8Array(ROM_SIZE);
  const view = new DataView(rom.buffer);
  const traps = [];

  function entry(action) {
    if (traps.length === TRAP_COUNT_MAX) throw new Error('too many entries in the boot ROM');
    const address = CODE + 4 * traps.length;
    view.setUint16(address, BKPT | traps.length, true);
    view.setUint16(address + 2, BX_LR, true);
    traps.push(action);
    return address | 1; // Thumb
  }

  function table(start, entries) {
    let at = start;
    for (const [code, address] of entries) {
      view.setUint16(at, code, true);
      view.setUint16(at + 2, address, true);
      at += 4;
    }
    return at + 4; // a zero ends it
  }

  const code = (letters) => letters.charCodeAt(0) | (letters.charCodeAt(1) << 8);
  const codes = (table) => Object.entries(table).map(([key, action]) => [code(key), entry(action)]);

  const functions = codes(romFunctions(mcu, flash));
  const dataTable = table(FUNCTION_TABLE, functions);
  softTable(view, rom, entry, SOFT_FLOAT, floatFunctions(mcu.core.registers));
  softTable(view, rom, entry, SOFT_DOUBLE, doubleFunctions(mcu.core.registers));
  table(dataTable, [[code('SF'), SOFT_FLOAT], [code('SD'), SOFT_DOUBLE]]);

  const halt = entry(() => flash.halt('reset or fault'));
  view.setUint32(4, halt, true);
  view.setUint32(8, halt, true);
  view.setUint32(12, halt, true);
  rom.set([0x4d, 0x75, 1, 3], 0x10); // 'Mu', 1, version 3
  view.setUint16(0x14, FUNCTION_TABLE, true);
  view.setUint16(0x16, dataTable, true);
  view.setUint16(0x18, entry(lookUp(mcu)), true);
  mcu.bootrom.set(new Uint32Array(rom.buffer));
  mcu.onBreak = (number) => {
    const action = traps[number];
    if (action) action();
    else flash.halt('bkpt ' + number);
  };
}

function lookUp(mcu) {
  const R = mcu.core.registers;
  return () => {
    const wanted = R[1] & 0xffff;
    for (let at = R[0] >>> 0; ; at += 4) {
      const found = mcu.readUint16(at);
      if (found === wanted || !found) {
        R[0] = found ? mcu.readUint16(at + 2) : 0;
        return;
      }
    }
  };
}

function romFunctions(mcu, flash) {
  const R = mcu.core.registers;
  const argument = (index) => R[index] >>> 0;
  const nothing = () => {};
  const copy = () => {
    const [to, from, size] = [argument(0), argument(1), argument(2)];
    for (let i = 0; i < size; i++) mcu.writeUint8(to + i, mcu.readUint8(from + i));
  };
  const set = () => {
    const [to, value, size] = [argument(0), R[1] & 0xff, argument(2)];
    for (let i = 0; i < size; i++) mcu.writeUint8(to + i, value);
  };
  return {
    P3: () => { R[0] = argument(0).toString(2).replaceAll('0', '').length; }, // popcount
    R3: () => { R[0] = parseInt([...argument(0).toString(2).padStart(32, '0')].reverse().join(''), 2); },
    L3: () => { R[0] = Math.clz32(R[0]); },
    T3: () => { R[0] = R[0] ? 31 - Math.clz32(R[0] & -R[0]) : 32; },
    MS: set, S4: set, MC: copy, C4: copy,
    IF: nothing, EX: nothing, FC: nothing, CX: nothing, // connect, leave XIP, flush, enter XIP
    RE: () => flash.erase(argument(0), argument(1)),
    RP: () => {
      const source = argument(1);
      flash.program(argument(0), argument(2), (i) => mcu.readUint8(source + i));
    },
    UB: () => flash.halt('the boot loader was asked for'),
    WV: nothing, DT: nothing, DE: nothing,
  };
}

// Soft floating point: tables of addresses, by the offsets of the data sheet

function softTable(view, rom, entry, start, functions) {
  const missing = entry(() => { throw new Error('a soft-float function is missing'); });
  rom[start - 2] = SOFT_TABLE_SIZE / 4;
  for (let offset = 0; offset < SOFT_TABLE_SIZE; offset += 4) {
    const action = functions[offset];
    view.setUint32(start + offset, action ? entry(action) : missing, true);
  }
}

const scratch = new DataView(new ArrayBuffer(8));

function limited(value, min, max) {
  return Number.isNaN(value) ? 0 : Math.max(min, Math.min(max, Math.floor(value)));
}
const toInt = (value) => limited(value, -(2 ** 31), 2 ** 31 - 1);
const toUint = (value) => limited(value, 0, 2 ** 32 - 1);

function limited64(value, min, max) {
  if (Number.isNaN(value)) return 0n;
  if (value >= Number(max)) return max;
  return value <= Number(min) ? min : BigInt(Math.floor(value));
}
const toInt64 = (value) => limited64(value, -(1n << 63n), (1n << 63n) - 1n);
const toUint64 = (value) => limited64(value, 0n, (1n << 64n) - 1n);

const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const uint64 = (R) => (BigInt(R[1] >>> 0) << 32n) | BigInt(R[0] >>> 0);
const int64 = (R) => BigInt.asIntN(64, uint64(R));

function give64(R, value) {
  const bits = BigInt.asUintN(64, value);
  R[0] = Number(bits & 0xffffffffn);
  R[1] = Number(bits >> 32n);
}

/* Floats in r0, r1; what is not about floats takes r0 and r1 as integers. */
function floatFunctions(R) {
  const float = (index) => (scratch.setUint32(0, R[index]), scratch.getFloat32(0));
  const give = (value) => { scratch.setFloat32(0, value); R[0] = scratch.getUint32(0); };
  const one = (f) => () => give(f(float(0)));
  const two = (f) => () => give(f(float(0), float(1)));
  const power = () => 2 ** (R[1] | 0);
  return {
    0x00: two((a, b) => a + b), 0x04: two((a, b) => a - b),
    0x08: two((a, b) => a * b), 0x0c: two((a, b) => a / b),
    0x18: one(Math.sqrt), 0x3c: one(Math.cos), 0x40: one(Math.sin), 0x44: one(Math.tan),
    0x4c: one(Math.exp), 0x50: one(Math.log), 0x58: two(Math.atan2),
    0x1c: () => { R[0] = toInt(float(0)); }, 0x20: () => { R[0] = toInt(float(0) * power()); },
    0x24: () => { R[0] = toUint(float(0)); }, 0x28: () => { R[0] = toUint(float(0) * power()); },
    0x2c: () => give(R[0] | 0), 0x30: () => give((R[0] | 0) / power()),
    0x34: () => give(R[0] >>> 0), 0x38: () => give((R[0] >>> 0) / power()),
    0x54: () => { R[0] = order(float(0), float(1)); },
    0x5c: () => give(Number(int64(R))), 0x64: () => give(Number(uint64(R))),
    0x6c: () => give64(R, toInt64(float(0))), 0x74: () => give64(R, toUint64(float(0))),
    0x7c: () => {
      const value = float(0);
      scratch.setFloat64(0, value);
      R[1] = scratch.getUint32(0);
      R[0] = scratch.getUint32(4);
    },
  };
}

/* Doubles in r0:r1 and r2:r3, the low word first. */
function doubleFunctions(R) {
  const double = (index) => {
    scratch.setUint32(0, R[index + 1]);
    scratch.setUint32(4, R[index]);
    return scratch.getFloat64(0);
  };
  const give = (value) => {
    scratch.setFloat64(0, value);
    R[1] = scratch.getUint32(0);
    R[0] = scratch.getUint32(4);
  };
  const one = (f) => () => give(f(double(0)));
  const two = (f) => () => give(f(double(0), double(2)));
  const power = (index) => 2 ** (R[index] | 0);
  return {
    0x00: two((a, b) => a + b), 0x04: two((a, b) => a - b),
    0x08: two((a, b) => a * b), 0x0c: two((a, b) => a / b),
    0x18: one(Math.sqrt), 0x3c: one(Math.cos), 0x40: one(Math.sin), 0x44: one(Math.tan),
    0x4c: one(Math.exp), 0x50: one(Math.log), 0x58: two(Math.atan2),
    0x1c: () => { R[0] = toInt(double(0)); }, 0x20: () => { R[0] = toInt(double(0) * power(2)); },
    0x24: () => { R[0] = toUint(double(0)); }, 0x28: () => { R[0] = toUint(double(0) * power(2)); },
    0x2c: () => give(R[0] | 0), 0x30: () => give((R[0] | 0) / power(1)),
    0x34: () => give(R[0] >>> 0), 0x38: () => give((R[0] >>> 0) / power(1)),
    0x54: () => { R[0] = order(double(0), double(2)); },
    0x5c: () => give(Number(int64(R))), 0x64: () => give(Number(uint64(R))),
    0x6c: () => give64(R, toInt64(double(0))), 0x74: () => give64(R, toUint64(double(0))),
    0x7c: () => {
      const value = double(0);
      scratch.setFloat32(0, value);
      R[0] = scratch.getUint32(0);
    },
  };
}
