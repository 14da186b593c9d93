/* pictograph-media: the one process that decodes what users upload. libvips and FFmpeg, sandboxed, one request at a time on a channel.
 *
 * Methods (worker/channel.h; all paths absolute or relative to the worker's folder):
 *
 *   inspect    {path, filename?, max_pixels?, convert_to?}
 *           -> {mime_type, extension, width, height, orientation, pages, size, converted_path?}
 *     Reads the true type by content, checks the size by the header (413 payload_too_large), then decodes every pixel of the first
 *     page strictly (422 undecodable_media). width and height are after the turn that EXIF asks for. filename is only for messages.
 *     A HEIC image is written as PNG to convert_to when that is given: converted_path then repeats it, and mime_type, extension,
 *     size, width, height and orientation (1) describe the PNG.
 *   thumbnail  {path, size, output, filename?, quality?} -> {width, height, mime_type}
 *     At most size pixels on the longer side, never enlarged, upright, in sRGB. The extension of output picks the type: .jpg
 *     (transparency on white), .png or .webp.
 *   decode     {path, output, filename?, max_side?} -> {width, height}
 *     Upright 8-bit RGB in the layout of media/pixels.h, shrunk to max_side when it is larger.
 *
 *   probe_video, extract_frames: see video.h.
 *
 * Failures carry the contract's codes: undecodable_media, payload_too_large, not_found (no such file), storage_full.
 *
 * Command line: `pictograph-media [--write DIR]... [--read DIR]...` serves on file descriptor 3. Nothing outside the --write
 * folders (default: the present folder) can be written; with at least one --read nothing else can be read.
 */
#pragma once
#include "worker/channel.h"

/* The methods above, ended by a row of NULL; context is a VideoDesk or NULL. picture_start comes first. */
extern const WorkerMethod MEDIA_METHODS[];
