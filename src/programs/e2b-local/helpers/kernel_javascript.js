'use strict';
// A JavaScript code context; the events are those of kernel_python.py. Node's own REPL evaluates, since it knows how to
// keep declarations from run to run and how to await at the top level.
const net = require('net');
const repl = require('repl');
const { PassThrough } = require('stream');
const util = require('util');
const nodeModule = require('module');

const channel = new net.Socket({ fd: 3, readable: true, writable: true });
const inner = repl.start({ prompt: '', input: new PassThrough(), output: new PassThrough(), terminal: false, useGlobal: true });
let count = 0;
let isRunning = false;
let interrupt = null;
const gathered = { stdout: '', stderr: '' };
let flushTimer = null;

// With Python's spaces: all kernels write the same text.
const encode = (value) => {
    if (Array.isArray(value)) return '[' + value.map(encode).join(', ') + ']';
    if (value === null || typeof value !== 'object') return JSON.stringify(value);
    return '{' + Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${encode(item)}`).join(', ') + '}';
};
const send = (event) => channel.write(encode(event) + '\n');

const flush = () => {
    clearTimeout(flushTimer);
    flushTimer = null;
    for (const name of ['stdout', 'stderr']) {
        if (gathered[name]) {
            send({ type: name, text: gathered[name], timestamp: new Date().toISOString().replace('Z', '+00:00') });
            gathered[name] = '';
        }
    }
};

for (const name of ['stdout', 'stderr']) {
    process[name].write = (text, encoding, done) => {
        gathered[name] += typeof text === 'string' ? text : Buffer.from(text).toString();
        if (!flushTimer) flushTimer = setTimeout(flush, 40);
        const callback = typeof encoding === 'function' ? encoding : done;
        if (callback) callback();
        return true;
    };
}

const isPromiseLike = (value) => value !== null && typeof value === 'object' && typeof value.then === 'function';

// Types are taken off where this Node can do it; elsewhere TypeScript runs as far as it is JavaScript.
const prepare = (code, language) => {
    if (language !== 'typescript' || !nodeModule.stripTypeScriptTypes) return code;
    return nodeModule.stripTypeScriptTypes(code);
};

// What code throws, the REPL hands to its domain and not to eval's callback.
let reject = () => {};
inner._domain.removeAllListeners('error');
inner._domain.on('error', (error) => reject(error));

const evaluate = (code) => new Promise((resolve, fail) => {
    reject = fail;
    interrupt = () => fail(new Error('Execution interrupted'));
    inner.eval(code, inner.context, 'evalmachine.<anonymous>', (error, value) => (error ? reject(error) : resolve(value)));
});

const describe = (value) => ({
    type: 'result',
    text: typeof value === 'string' ? value : util.inspect(value),
    extra: {},
    is_main_result: true,
});

const report = (thrown) => {
    const error = thrown && thrown.err instanceof Error ? thrown.err : thrown; // the REPL wraps what more lines might mend
    const isError = error instanceof Error || (error && typeof error.stack === 'string');
    const stack = isError ? String(error.stack) : 'Uncaught ' + util.inspect(error);
    send({
        type: 'error',
        name: isError ? error.name : 'Error',
        value: isError ? error.message : util.inspect(error),
        traceback: stack.split('\n').join(''),
    });
};

const run = async (request) => {
    count += 1;
    send({ type: 'number_of_executions', execution_count: count });
    const variables = request.variables || {};
    const head = Object.entries(variables).map(([name, value]) => `process.env['${name}'] = '${value}';`).join(' ');
    const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
    isRunning = true;
    try {
        const code = prepare(request.code, request.language);
        let value = await evaluate((head ? head + '\n' : '') + code + '\n');
        if (isPromiseLike(value)) value = await value;
        flush();
        if (value !== undefined) send(describe(value));
    } catch (error) {
        flush();
        report(error);
    }
    isRunning = false;
    for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
    }
    flush();
    send({ type: 'end_of_execution' });
};

process.on('SIGINT', () => {
    if (isRunning && interrupt) interrupt();
});
process.on('uncaughtException', report);
process.on('unhandledRejection', report);

let text = '';
let queue = Promise.resolve();
channel.setEncoding('utf8');
channel.on('data', (data) => {
    text += data;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const request = JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
        queue = queue.then(() => run(request));
    }
});
channel.on('end', () => process.exit(0));
