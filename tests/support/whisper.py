"""A Whisper model of a few megabytes that says what it is told to: made here, loaded by the same code as a real one.

Its feed-forward layers are zero and its attention changes nothing, so what it says next follows from the place alone:
the vector of each place is random, and the row of the word that is due there points the same way. Each place attends to
the moment at which its word is due, which is where the word's time comes from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, LAYERS, HEADS, PLACES = 64, 2, 2, 448
_TEXT = 50_257
"""Tokens before the special ones, as in the published multilingual models."""
_STAMPS = 1501
_FRAMES = 1500
_FRAMES_A_SECOND = 50
_SURE = 4.0
_SHARP = 2.0


def special_tokens() -> list[str]:
    """The tokens after the text's, in the order of the published models."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    codes = ["en", *(code for code in _LANGUAGE_CODES if code not in ("en", "yue"))]
    heads = ["endoftext", "startoftranscript", *codes]
    tails = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    return [f"<|{name}|>" for name in (*heads, *tails)]


def tokens(words: Sequence[str]) -> list[str]:
    """The whole vocabulary: bytes, the words to say, filling, the special ones and the times."""
    text = [*_bytes(), *(f"Ġ{word}" for word in words)]
    text += [f"unused{number}" for number in range(_TEXT - 1 - len(text))]
    # The empty one is how CTranslate2 knows a multilingual model.
    return [*text, "", *special_tokens(), *(f"<|{number * 0.02:.2f}|>" for number in range(_STAMPS))]


def _bytes() -> list[str]:
    """The letters that stand for the 256 bytes in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    letters = dict(zip([*plain, *other], [*plain, *range(256, 256 + len(other))], strict=True))
    return [chr(letters[byte]) for byte in range(256)]


def make(folder: Path, says: str, *, until_s: float = 2.0, language: str = "en") -> Path:
    """A folder of weights as the converter for faster-whisper writes it; the model says `says` in every window, from
    the window's start to `until_s`."""
    import ctranslate2

    folder.mkdir(parents=True, exist_ok=True)
    words = list(dict.fromkeys(says.split()))
    vocabulary = tokens(words)
    number = {token: at for at, token in enumerate(vocabulary)}
    # After "start of transcript" the language; after that and the task, what is said.
    due: dict[int, int] = {0: number[f"<|{language}|>"], 2: number["<|0.00|>"]}
    said = [number[f"Ġ{word}"] for word in says.split()]
    for at, token in enumerate([*said, number[f"<|{until_s:.2f}|>"], number["<|endoftext|>"]]):
        due[3 + at] = token
    spec = ctranslate2.specs.WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    # The place before a word is where it is predicted; the first three are those of the prompt.
    moments = {3 + at: until_s * (at + 0.5) / len(said) for at in range(len(said))}
    _fill(spec, len(vocabulary), due, moments)
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = list(range(number["<|en|>"], number["<|translate|>"]))
    spec.config.alignment_heads = [[LAYERS - 1, head] for head in range(HEADS)]
    spec.validate()
    spec.optimize(quantization="float32")
    spec.save(str(folder))
    _tokenizer(folder, vocabulary)
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80, "sampling_rate": 16000}))
    return folder


def _fill(spec: Any, vocabulary: int, due: Mapping[int, int], moments: Mapping[int, float]) -> None:
    random = np.random.default_rng(3)

    def zeros(*shape: int) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(WIDTH, np.float32), zeros(WIDTH)

    def linear(layer: Any, out: int, into: int) -> None:
        layer.weight, layer.bias = zeros(out, into), zeros(out)

    def attention(layer: Any, *, own: bool) -> None:
        norm(layer.layer_norm)
        for part, times in zip(layer.linear, (3, 1) if own else (1, 2, 1), strict=True):
            linear(part, times * WIDTH, WIDTH)

    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = zeros(WIDTH, 80, 3), zeros(WIDTH)
    encoder.conv2.weight, encoder.conv2.bias = zeros(WIDTH, WIDTH, 3), zeros(WIDTH)
    periods = np.geomspace(3000, 20, WIDTH // 2)
    phases = 2 * np.pi * np.arange(_FRAMES)[:, None] / periods
    times = np.stack([np.cos(phases), np.sin(phases)], axis=2).reshape(_FRAMES, WIDTH)
    times = _normal(times[:, random.permutation(WIDTH)])
    encoder.position_encodings.encodings = times
    norm(encoder.layer_norm)
    for layer in encoder.layer:
        attention(layer.self_attention, own=True)
    places = _normal(random.normal(0, 1, (PLACES, WIDTH)))
    rows = zeros(vocabulary, WIDTH)
    for place, token in due.items():
        rows[token] += places[place] * _SURE / 8
    decoder.embeddings.weight = zeros(vocabulary, WIDTH)
    decoder.position_encodings.encodings = places
    decoder.projection.weight, decoder.projection.bias = rows, zeros(vocabulary)
    norm(decoder.layer_norm)
    for layer in decoder.layer:
        attention(layer.self_attention, own=True)
        attention(layer.attention, own=False)
        asked, key_and_value, _ = layer.attention.linear
        wanted = np.stack([times[round(at_s * _FRAMES_A_SECOND)] for at_s in moments.values()])
        asked.weight = np.linalg.lstsq(places[list(moments)], wanted * _SHARP, rcond=None)[0].T.astype(np.float32)
        key_and_value.weight[:WIDTH] = np.eye(WIDTH)
    for layer in (*encoder.layer, *decoder.layer):
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, 4 * WIDTH, WIDTH)
        linear(layer.ffn.linear_1, WIDTH, 4 * WIDTH)


def _normal(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Each row with mean 0 and deviation 1, as layer norms make them."""
    made: NDArray[np.float64] = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    return made.astype(np.float32)


def _tokenizer(folder: Path, vocabulary: Sequence[str]) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    made = Tokenizer(models.BPE({token: at for at, token in enumerate(vocabulary)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True) for token in vocabulary[_TEXT:]])
    made.save(str(folder / "tokenizer.json"))
