"""Videos made at test time: each frame bears its number as eight black or white bars, and one end of it is red, so that order and turn can be read off."""
import fractions
import io

import av
import numpy as np
from PIL import Image

BITS, WIDTH, HEIGHT, RED = 8, 160, 96, 24


def draw(number, width=WIDTH, height=HEIGHT):
    """Bars from the left, most significant first; a red strip along the top."""
    picture = np.zeros((height, width, 3), np.uint8)
    for bit in range(BITS):
        if number >> (BITS - 1 - bit) & 1:
            picture[:, bit * width // BITS:(bit + 1) * width // BITS] = 255
    picture[:RED * height // HEIGHT] = (255, 0, 0)
    return picture


def read(jpeg):
    """The number on an upright frame; fails when the red strip is not on top."""
    picture = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    height, width = picture.shape[:2]
    top = picture[height // 16]
    assert (top[:, 0] > 180).all() and (top[:, 1] < 90).all(), "the red strip is not on top"
    row = picture[height * 3 // 4].mean(axis=1)
    return sum((row[(2 * bit + 1) * width // (2 * BITS)] > 128) << (BITS - 1 - bit) for bit in range(BITS))


def make(path, count=50, rate=10, times=None, codec="libx264", container=None, gop=12, audio=False, width=WIDTH, height=HEIGHT, turn=0, frames=True, **options):
    """Writes a video of `count` frames. times: the instant of each, in seconds (a variable rate). turn: quarter turns that the player has to make,
    clockwise, for which the pictures lie turned in the file."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=fractions.Fraction(rate).limit_denominator(1001)) if frames else None
        if frames:
            stream.pix_fmt = options.pop("pix_fmt", "yuv420p")
            turned = turn % 2
            stream.width, stream.height = (height, width) if turned else (width, height)
            stream.codec_context.gop_size = gop
            stream.options = {"preset": "ultrafast", **options} if codec == "libx264" else options
            if times is not None:
                stream.codec_context.time_base = stream.time_base = fractions.Fraction(1, 90000)
        sound = out.add_stream("aac", rate=8000) if audio else None
        if sound:
            sound.layout = "mono"
        for number in range(count if frames else 0):
            picture = np.ascontiguousarray(np.rot90(draw(number, width, height), turn))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is None:
                frame.pts = number
            else:
                frame.pts, frame.time_base = round(times[number] * 90000), fractions.Fraction(1, 90000)
            for packet in stream.encode(frame):
                out.mux(packet)
        if sound:
            for chunk in range(40):
                block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                block.sample_rate, block.pts = 8000, chunk * 1024
                for packet in sound.encode(block):
                    out.mux(packet)
        for one in filter(None, (stream, sound)):
            for packet in one.encode(None):
                out.mux(packet)
    if turn:
        set_display_matrix(path, turn)
    return path


def set_display_matrix(path, turn):
    """Writes the matrix of a clockwise quarter turn into the track headers of an MP4 file (PyAV has no way to)."""
    one = 1 << 16
    matrix = {1: (0, one, 0, -one, 0, 0), 2: (-one, 0, 0, 0, -one, 0), 3: (0, -one, 0, one, 0, 0)}[turn]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4  # version 0: the matrix is 40 bytes behind version and flags
    assert data[at] == 0
    for i, value in enumerate(matrix + (0, 0, 1 << 30)):
        data[at + 40 + 4 * i:at + 44 + 4 * i] = (value & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)
