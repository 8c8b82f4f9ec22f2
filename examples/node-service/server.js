// A web service of one page; with --once it prints the page.
const http = require('node:http');
const ms = require('ms');

const page = () => `hello from node, where a day has ${ms('1d')} ms\n`;

if (process.argv[2] === '--once') {
  process.stdout.write(page());
} else {
  http.createServer((_, answer) => answer.end(page())).listen(3000);
}
