"""stop_strings."""


def update_finished(tokenizer, sequence, options):
    """Note in a sequence whether its newest token ended it: by its id, a stop string or the length."""
    if options.stops:
        newest = tokenizer.decode_bytes(sequence.ids[-1:], skip_special_tokens=True)
        sequence.text += newest
        sequence.from_stop = bytes_from_stop(sequence.text, len(newest), options.stops)
    sequence.finished = sequence.from_stop > 0 or sequence.ids[-1] in options.eos_ids or len(sequence.ids) >= sequence.longest


def bytes_from_stop(text, newest, stops):
    """Return how many bytes of a text stand from the first byte of a stop string on, or 0.

    Bytes do not care where tokens begin: with the stop string "end", the tokens "the e", "nd." have 4, "end.". It is only
    looked for where it would end in the last token, the `newest` bytes.
    """
    found = [0]
    for stop in (stop.encode("utf-8") for stop in stops):
        begin = text.find(stop, max(0, len(text) - newest - len(stop) + 1))
        if begin >= 0:
            found.append(len(text) - begin)
    return max(found)


def new_text(tokenizer, sequence, options):
    """Return the text of what was generated, without the stop string if it is to be cut."""
    written = tokenizer.decode_bytes(sequence.new_ids, skip_special_tokens=True)
    if options.cut_stop_string:
        written = written[: max(0, len(written) - sequence.from_stop)]
    return written.decode("utf-8", "replace")


def pieces(tokenizer, prompt, steps, options):
    """Yield the prompt and then the text of the steps of one sequence, as soon as it is certain.

    Bytes that may yet turn out to be the beginning of a stop string that is to be cut are held back.
    """
    if prompt:
        yield prompt
    decoder = tokenizer.stream_decoder()
    stops = [stop.encode("utf-8") for stop in options.stops] if options.cut_stop_string else []
    held = b""
    for step in steps:
        held += tokenizer.decode_bytes([step.token], skip_special_tokens=True)
        if stops:
            held = held[: max(0, len(held) - step.sequence.from_stop)]
        uncertain = 0 if step.sequence.finished else begun(step.sequence.text, stops)
        certain = max(0, len(held) - uncertain)
        if text := decoder.push_bytes(held[:certain]):
            yield text
        held = held[certain:]
    if text := decoder.flush():
        yield text


def begun(data, stops):
    """Return the length of the longest end of data that is the beginning of a stop string: b"the e", [b"end"] -> 1."""
    lengths = (n for stop in stops for n in range(min(len(stop), len(data)), 0, -1) if data.endswith(stop[:n]))
    return max(lengths, default=0)
