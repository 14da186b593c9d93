"""Every kind of image that is taken: what is stored is what was sent, and its preview shows it upright, in sRGB, with eight bits."""
import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
import tifffile
from conftest import picture
from PIL import Image, ImageCms

pillow_heif.register_heif_opener()
RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 30), (30, 30, 210), (255, 255, 255)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def quarters(width=80, height=60):
    """Red, green, blue and white quarters, in the order of reading."""
    image = Image.new("RGB", (width, height), RED)
    for colour, x, y in ((GREEN, width // 2, 0), (BLUE, 0, height // 2), (WHITE, width // 2, height // 2)):
        image.paste(colour, (x, y, x + width // 2, y + height // 2))
    return image


def thumbnail(client, image, size=200):
    return Image.open(io.BytesIO(client.get(f"/images/{image['id']}/thumbnail?size={size}").content))


def is_near(pixel, colour, within=24):
    return all(abs(a - b) <= within for a, b in zip(pixel[:3], colour))


def assert_quarters(image, colours=(RED, GREEN, BLUE, WHITE), within=24):
    image = image.convert("RGB")
    width, height = image.size
    for colour, (x, y) in zip(colours, ((1, 1), (3, 1), (1, 3), (3, 3))):
        found = image.getpixel((width * x // 4, height * y // 4))
        assert is_near(found, colour, within), (x, y, found, colour)


def sent(owner, name, data, mime, size=(80, 60)):
    """Uploads, checks what is stored, returns its preview."""
    image = owner.upload(owner.project(), name, data, content_type=mime)
    assert (image["width"], image["height"], image["mime_type"], image["file_size"]) == (*size, mime, len(data))
    assert owner.get(f"/images/{image['id']}").content == data
    return thumbnail(owner, image)


@pytest.mark.parametrize("kind, name, mime, options", [
    ("JPEG", "a.jpg", "image/jpeg", {"quality": 95}), ("JPEG", "progressive.jpeg", "image/jpeg", {"quality": 95, "progressive": True}),
    ("PNG", "a.png", "image/png", {}), ("WEBP", "a.webp", "image/webp", {"quality": 95}), ("WEBP", "lossless.webp", "image/webp", {"lossless": True}),
    ("BMP", "a.bmp", "image/bmp", {}), ("TIFF", "a.tif", "image/tiff", {}), ("TIFF", "lzw.tiff", "image/tiff", {"compression": "tiff_lzw"}),
    ("TIFF", "jpeg.tiff", "image/tiff", {"compression": "jpeg"}), ("TIFF", "deflate.tiff", "image/tiff", {"compression": "tiff_adobe_deflate"}), ("GIF", "a.gif", "image/gif", {}),
])
def test_plain(owner, kind, name, mime, options):
    assert_quarters(sent(owner, name, saved(quarters(), kind, **options), mime))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA"])
def test_bitmaps(owner, mode):
    image = quarters().convert(mode)
    preview = sent(owner, f"{mode}.bmp", saved(image, "BMP"), "image/bmp")
    if mode in ("P", "RGBA"):
        assert_quarters(preview, within=60)
    else:
        assert preview.convert("L").getpixel((60, 45)) > 240


def test_heic_becomes_png(owner):
    project = owner.project()
    data = saved(quarters(), "HEIF", quality=95)
    image = owner.upload(project, "photo.HEIC", data, content_type="image/heic")
    assert (image["filename"], image["mime_type"], image["width"], image["height"]) == ("photo.png", "image/png", 80, 60)
    back = owner.get(f"/images/{image['id']}").content
    assert back[:8] == b"\x89PNG\r\n\x1a\n" and len(back) == image["file_size"]
    assert_quarters(Image.open(io.BytesIO(back)))
    assert_quarters(thumbnail(owner, image))
    for name in ("photo.HEIC", "photo.heif", "photo.png"):
        mime = "image/png" if name.endswith("png") else "image/heic"
        assert "already exists" in owner.post("/images/upload-url", {"dataset_id": project["id"], "filename": name, "content_type": mime}, 409).json()["detail"]
    reply = owner.upload(project, "cut.heic", data[:len(data) * 2 // 3], content_type="image/heic", expect=422).json()
    assert reply["error_code"] == "undecodable_media"
    turned = owner.upload(project, "turned.heic", saved(quarters(), "HEIF", quality=95, exif=orientation(6)), content_type="image/heic")
    assert (turned["width"], turned["height"]) in ((60, 80), (80, 60))
    stored = Image.open(io.BytesIO(owner.get(f"/images/{turned['id']}").content))
    assert stored.size == (turned["width"], turned["height"]) and stored.getexif().get(0x0112, 1) == 1, "a PNG that is upright by its pixels alone"


def test_first_page_of_a_tiff(owner):
    pages = [picture_of(colour) for colour in (GREEN, RED, BLUE)]
    data = saved(quarters(), "TIFF", save_all=True, append_images=pages)
    assert_quarters(sent(owner, "pages.tif", data, "image/tiff"))


def picture_of(colour, size=(80, 60)):
    return Image.new("RGB", size, colour)


def test_first_frame_of_a_gif(owner):
    frames = [quarters().quantize(16), picture_of(BLUE).quantize(16)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    assert_quarters(sent(owner, "moving.gif", data, "image/gif"))


def test_first_frame_of_a_webp(owner):
    data = saved(quarters(), "WEBP", save_all=True, append_images=[picture_of(BLUE)], duration=100, lossless=True)
    assert_quarters(sent(owner, "moving.webp", data, "image/webp"))


@pytest.mark.parametrize("kind, name, mime", [("JPEG", "cmyk.jpg", "image/jpeg"), ("TIFF", "cmyk.tif", "image/tiff")])
def test_cmyk(owner, kind, name, mime):
    preview = sent(owner, name, saved(quarters().convert("CMYK"), kind, **({"quality": 95} if kind == "JPEG" else {})), mime)
    assert preview.mode == "RGB"
    pixels = [preview.getpixel(p) for p in ((20, 15), (60, 15), (20, 45), (60, 45))]
    assert [int(np.argmax(p)) for p in pixels[:3]] == [0, 1, 2] and min(pixels[3]) > 240, pixels  # inks are no exact colours


def png_16(array):
    """A PNG with sixteen bits a sample, which Pillow does not write."""
    height, width, channels = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_sixteen_bits(owner):
    wide = np.asarray(quarters()).astype(np.uint32) * 257
    assert_quarters(sent(owner, "rgb16.png", png_16(wide), "image/png"))
    grey = np.asarray(quarters().convert("L")).astype(np.uint16) * 257
    for name, data, mime in (("grey16.png", png_16(grey[:, :, None]), "image/png"), ("grey16.tif", saved(Image.fromarray(grey), "TIFF"), "image/tiff")):
        preview = sent(owner, name, data, mime).convert("L")
        assert abs(preview.getpixel((20, 15)) - grey[15, 20] // 257) < 12 and preview.getpixel((60, 45)) > 240, name


GREY = np.tile(np.linspace(0, 1, 80), (60, 1))


@pytest.mark.parametrize("kind, low, high", [("f4", 0, 1), ("f4", 0, 255), ("f4", -40.5, 8848), ("i2", -1024, 3071), ("u4", 0, 2**32 - 1), ("i4", -500, 500),
                                             ("f8", 0, 1), ("f8", -40.5, 8848), ("f2", 0, 1), ("i8", -2**50, 2**60), ("u8", 0, 2**63)])
def test_samples_that_are_no_bytes(owner, kind, low, high):
    """What is stored stays; the preview shows 0 to 1 as black to white, any other range from its end to its end."""
    out = io.BytesIO()
    tifffile.imwrite(out, (low + GREY * (high - low)).astype(kind), photometric="minisblack")
    preview = sent(owner, "grey.tif", out.getvalue(), "image/tiff").convert("L")
    for x in (2, 20, 40, 60, 77):
        assert abs(preview.getpixel((x, 30)) - 255 * GREY[0, x]) < 6, x


@pytest.mark.parametrize("kind", ["f8", "f2"])
def test_wide_samples_however_they_lie(owner, kind):
    colours = (np.asarray(quarters()) / 255).astype(kind)
    colours[0, 0] = np.nan
    gradient = GREY.astype(kind)
    clear = np.dstack([colours, np.zeros((60, 80), kind)])
    turned = {"extratags": [(274, "H", 1, 6, True)]}
    for options in ({}, {"compression": "deflate"}, {"tile": (16, 16)}, {"planarconfig": "separate"}, {"planarconfig": "separate", "tile": (32, 16), "compression": "deflate"}, {"bigtiff": True}, {"byteorder": ">"}):
        samples = colours.transpose(2, 0, 1) if "planarconfig" in options else colours
        out = io.BytesIO()
        tifffile.imwrite(out, samples, photometric="rgb", **options)
        assert_quarters(sent(owner, "colours.tif", out.getvalue(), "image/tiff"), within=40)
    for name, samples, options in (("white.tif", gradient, {"photometric": "miniswhite"}), ("pages.tif", np.stack([1 - gradient, gradient]), {"photometric": "minisblack"}),
                                   ("clear.tif", clear, {"photometric": "rgb", "extrasamples": ["unassalpha"]}), ("turned.tif", gradient, {"photometric": "minisblack", **turned})):
        out = io.BytesIO()
        tifffile.imwrite(out, samples, **options)
        preview = sent(owner, name, out.getvalue(), "image/tiff", (60, 80) if name == "turned.tif" else (80, 60))
        if name == "clear.tif": assert_quarters(preview, within=40)
        elif name == "turned.tif": assert preview.convert("L").getpixel((30, 4)) < 30 and preview.convert("L").getpixel((30, 75)) > 220
        else: assert preview.convert("L").getpixel((4, 30)) > 220 and preview.convert("L").getpixel((75, 30)) < 30, name
    cut = io.BytesIO()
    tifffile.imwrite(cut, gradient, photometric="minisblack", metadata=None)
    assert owner.upload(owner.project(), "cut.tif", cut.getvalue()[:-400], content_type="image/tiff", expect=422).json()["error_code"] == "undecodable_media"
    assert "NaN" not in owner.upload(owner.project(), "large.tif", wide_header(40000, 40000), content_type="image/tiff", expect=413).text


def wide_header(width, height):
    """A TIFF of 64-bit floats that has only its head."""
    entries = [(256, 4, width), (257, 4, height), (258, 3, 64), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 8), (339, 3, 3)]
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries) + bytes(12)


def test_floats_in_colour_and_with_gaps(owner):
    colours = (np.asarray(quarters()) / 255).astype("f4")
    colours[0, 0], colours[1, 1] = np.nan, np.inf  # no data; as bright as can be
    for name, samples in (("unit.tif", colours), ("large.tif", colours * 1000)):
        out = io.BytesIO()
        tifffile.imwrite(out, samples, photometric="rgb")
        preview = sent(owner, name, out.getvalue(), "image/tiff")
        assert_quarters(preview, within=40)
        assert preview.convert("RGB").getpixel((1, 0)) != preview.convert("RGB").getpixel((60, 45))  # the gap has not spread
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((60, 80), np.nan, "f4"), photometric="minisblack")
    assert sent(owner, "nothing.tif", out.getvalue(), "image/tiff").size == (80, 60)


def test_transparency(owner):
    clear = Image.new("RGBA", (80, 60), (220, 30, 30, 0))
    clear.paste((30, 30, 210, 255), (40, 0, 80, 60))
    for kind, name, mime in (("PNG", "clear.png", "image/png"), ("WEBP", "clear.webp", "image/webp"), ("TIFF", "clear.tif", "image/tiff")):
        preview = sent(owner, name, saved(clear, kind, **({"lossless": True} if kind == "WEBP" else {})), mime)
        assert is_near(preview.convert("RGB").getpixel((60, 30)), BLUE)
        if preview.mode == "RGBA":
            assert preview.getpixel((20, 30))[3] == 0
        else:
            assert is_near(preview.getpixel((20, 30)), WHITE), "JPEG has no transparency: white shows through"


# ---- turned by EXIF ----

def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


LIES = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}  # how an upright picture has to lie in the file


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind, name, mime", [("JPEG", "a.jpg", "image/jpeg"), ("TIFF", "a.tif", "image/tiff"), ("PNG", "a.png", "image/png"), ("WEBP", "a.webp", "image/webp")])
def test_previews_are_upright(owner, value, kind, name, mime):
    lying = quarters() if LIES[value] is None else quarters().transpose(LIES[value])
    preview = sent(owner, name, saved(lying, kind, exif=orientation(value), **({"quality": 95} if kind in ("JPEG", "WEBP") else {})), mime)
    assert preview.size == (80, 60)
    assert_quarters(preview)


# ---- colour profiles ----

def swapped_profile():
    """An ICC profile like sRGB, but whose red is sRGB's green, and the other way round: who ignores it sees the wrong colours."""
    def fixed(*values):
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    def xyz(*values):
        return b"XYZ \0\0\0\0" + fixed(*values)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = b"swapped\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    description += bytes(-len(description) % 4)
    tags = [(b"desc", description), (b"cprt", b"text\0\0\0\0none\0\0\0\0"), (b"wtpt", xyz(0.9642, 1, 0.8249)), (b"gXYZ", xyz(0.4360, 0.2225, 0.0139)),
            (b"rXYZ", xyz(0.3851, 0.7169, 0.0971)), (b"bXYZ", xyz(0.1431, 0.0606, 0.7141)), (b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve)]
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ") + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    header += bytes(68 - len(header)) + fixed(0.9642, 1, 0.8249)
    return header + bytes(128 - len(header)) + table + body


@pytest.mark.parametrize("kind, name, mime, options", [("JPEG", "icc.jpg", "image/jpeg", {"quality": 95}), ("PNG", "icc.png", "image/png", {}), ("TIFF", "icc.tif", "image/tiff", {})])
def test_profiles_count_for_previews_only(owner, kind, name, mime, options):
    profile = swapped_profile()
    ImageCms.ImageCmsProfile(io.BytesIO(profile))  # somebody else reads it, too
    preview = sent(owner, name, saved(quarters(), kind, icc_profile=profile, **options), mime)  # the stored bytes are those that were sent
    assert_quarters(preview, (GREEN, RED, BLUE, WHITE), within=45)
    assert not preview.info.get("icc_profile"), "sRGB needs no word"


# ---- kept ----

def test_previews_are_made_once_a_size(owner, server):
    image = owner.upload(owner.project(), "p.jpg", saved(quarters(1200, 900), "JPEG", quality=95))
    assert thumbnail(owner, image).size == (200, 150)  # the default
    for size, expected in ((32, (32, 24)), (1024, (1024, 768))):
        assert thumbnail(owner, image, size).size == expected
    kept = sorted(server.folder.glob(f"thumbnails/*/*-*.jpg"), key=lambda f: f.stat().st_mtime)[-3:]
    assert sorted(int(f.stem.rsplit("-", 1)[1]) for f in kept) == [32, 200, 1024]
    for file in kept:
        file.chmod(0o600)
        file.write_bytes(file.read_bytes() + b"mark")
    for size in (32, 200, 1024):
        reply = owner.get(f"/images/{image['id']}/thumbnail?size={size}")
        assert reply.content.endswith(b"mark"), "it was made anew"
        assert reply.headers["Cache-Control"] == "private, max-age=2592000"
        assert "Content-MD5" not in reply.headers, "it was that of other bytes"
        owner.get(f"/images/{image['id']}/thumbnail?size={size}", 304, headers={"If-None-Match": reply.headers["ETag"]})
    small = owner.upload(owner.project(), "small.jpg", picture(20, 10))
    assert thumbnail(owner, small, 512).size == (20, 10), "never enlarged"


def test_bands_beyond_the_colours_are_no_opacity(owner):
    """A TIFF of five channels, as microscopes write them: the first is shown, and it can be looked at."""
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((5, 40, 60), 50, np.uint8), planarconfig="separate", photometric="minisblack")
    project = owner.project()
    image = owner.upload(project, "five.tif", out.getvalue(), content_type="image/tiff")
    assert abs(thumbnail(owner, image).convert("L").getpixel((5, 5)) - 50) < 3
    owner.post("/auto-annotate/sam3/text", {"dataset_name": project["name"], "image_filename": "five.tif", "text_prompt": "person"})
