/** Lines of standard input. Only LF ends one: `readline` would also split at U+2028, which JSON may hold. */

/**
 * @param {AsyncIterable<Buffer>} input
 * @returns {AsyncGenerator<string>}
 */
export async function* lines(input) {
  let pieces = [];
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...pieces, chunk.subarray(start, end)]).toString('utf8');
      pieces = [];
      start = end + 1;
    }
    if (start < chunk.length) pieces.push(chunk.subarray(start));
  }
  if (pieces.length > 0) yield Buffer.concat(pieces).toString('utf8');
}
