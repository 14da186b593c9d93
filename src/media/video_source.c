#include "media/video_source.h"

#include <errno.h>
#include <fcntl.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

enum { IO_BUFFER = 1 << 16, DECODER_THREADS = 2, HEAD = 400, PROBE_BYTES = 8 << 20, MAX_STREAMS = 64, LARGEST_BLOCK = 1 << 30 };
enum { BAD_IN_A_ROW = 1000 }; /* packets that say nothing, before a stream is given up */
enum { RECENT_PACKETS = 16 };  /* more than a stream reorders */

/* Where a clock jumps back by more than this, the stream was cut and joined; less is disorder. */
#define CLOCK_RESTART_SECONDS 1.0
#define ASSUMED_FPS 25.0
#define HIGHEST_FPS 1000.0
/* Key frames carry the time at which they are decoded, which is earlier than the time at which they are shown by less than this. */
#define REORDER_SECONDS 1.0

struct VideoSource {
    int fd;
    int64_t position, size;
    char *name;
    AVFormatContext *format;
    AVCodecContext *decoder;
    AVStream *stream;
    AVPacket *packet;
    AVFrame *frame;
    VideoFacts facts;
    double last_time, clock_offset;
    double wanted;                 /* the next instant that asks for a frame */
    double recent[RECENT_PACKETS]; /* times of the last packets, a ring, NAN where there is none yet */
    int newest;                    /* in the ring */
    bool any, drained; /* a frame was delivered; the decoder was told that nothing follows */
    int64_t damaged;
    int bad_in_a_row;
};

/* ---- what is read ---- */

typedef struct Container {
    const char *demuxer;
    size_t offset;
    const char *bytes;
    size_t size;
} Container;

static const Container CONTAINERS[] = {
    {"mov", 4, "ftyp", 4}, {"mov", 4, "moov", 4}, {"mov", 4, "mdat", 4}, {"mov", 4, "wide", 4}, {"mov", 4, "free", 4}, {"mov", 4, "skip", 4},
    {"matroska", 0, "\x1A\x45\xDF\xA3", 4}, {"avi", 8, "AVI ", 4}, {"mpeg", 0, "\0\0\1\xBA", 4}, {"flv", 0, "FLV\1", 4}, {"ogg", 0, "OggS", 4},
    {"asf", 0, "\x30\x26\xB2\x75\x8E\x66\xCF\x11", 8},
};

/* Decoders by FFmpeg's names, also for its look at streams that say little about themselves. */
#define DECODERS "h264,hevc,vp8,vp9,libdav1d,mpeg1video,mpeg2video,mpeg4,msmpeg4,msmpeg4v2,h263,flv,wmv1,wmv2,wmv3,vc1,theora,mjpeg,prores,dnxhd,dvvideo,ffv1,huffyuv,ffvhuff,rawvideo,png"

static bool is_transport_stream(const unsigned char *head, size_t size) {
    enum { PACKET = 188 };
    return size > PACKET && head[0] == 0x47 && head[PACKET] == 0x47 && (size <= 2 * PACKET || head[2 * PACKET] == 0x47);
}

static const char *find_demuxer(const unsigned char *head, size_t size) {
    for (size_t i = 0; i < sizeof CONTAINERS / sizeof *CONTAINERS; i++) {
        const Container *c = &CONTAINERS[i];
        if (size >= c->offset + c->size && memcmp(head + c->offset, c->bytes, c->size) == 0) return c->demuxer;
    }
    return is_transport_stream(head, size) ? "mpegts" : NULL;
}

static bool decoder_is_listed(const char *name) {
    size_t length = strlen(name);
    for (const char *at = DECODERS; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) return true;
    return false;
}

/* FFmpeg's first choice is not always one of ours (AV1 has several readers). */
static const AVCodec *find_decoder(enum AVCodecID id) {
    void *cursor = NULL;
    for (const AVCodec *codec; (codec = av_codec_iterate(&cursor));)
        if (codec->id == id && av_codec_is_decoder(codec) && decoder_is_listed(codec->name)) return codec;
    return NULL;
}

/* ---- the file ---- */

static int read_bytes(void *context, uint8_t *out, int size) {
    VideoSource *source = context;
    ssize_t n;
    do n = pread(source->fd, out, (size_t)size, source->position);
    while (n < 0 && errno == EINTR);
    if (n < 0) return AVERROR(errno);
    source->position += n;
    return n == 0 ? AVERROR_EOF : (int)n;
}

static int64_t seek_bytes(void *context, int64_t offset, int whence) {
    VideoSource *source = context;
    if (whence == AVSEEK_SIZE) return source->size;
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? source->position : whence == SEEK_END ? source->size : -1;
    if (base < 0 || offset > INT64_MAX - base || base + offset < 0) return AVERROR(EINVAL);
    return source->position = base + offset;
}

/* What a file names, nobody opens. */
static int refuse_open(AVFormatContext *format, AVIOContext **out, const char *url, int flags, AVDictionary **options) {
    (void)format, (void)url, (void)flags, (void)options;
    *out = NULL;
    return AVERROR(EACCES);
}

static Status no_video(const VideoSource *source, Error *err, const char *why) {
    return error_set(err, STATUS_UNSUPPORTED_MEDIA_TYPE, "Video '%s' %s", source->name, why);
}

static Status damage(const VideoSource *source, int code, Error *err) {
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, text, sizeof text);
    if (code == AVERROR(ENOMEM)) return error_set(err, STATUS_UNDECODABLE_MEDIA, "Video '%s' needs more memory than a video may take", source->name);
    return error_set(err, STATUS_UNDECODABLE_MEDIA, "Video '%s' cannot be decoded: %s", source->name,
                     code == AVERROR_INVALIDDATA ? "it is damaged or cut off" : text);
}

static Status open_file(VideoSource *source, const char *path, const char **out_demuxer, Error *err) {
    unsigned char head[HEAD];
    struct stat st;
    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->fd < 0 || fstat(source->fd, &st) != 0 || !S_ISREG(st.st_mode)) return error_set(err, STATUS_NOT_FOUND, "Video '%s' cannot be opened", source->name);
    source->size = st.st_size;
    ssize_t n = pread(source->fd, head, sizeof head, 0);
    *out_demuxer = n > 0 ? find_demuxer(head, (size_t)n) : NULL;
    if (*out_demuxer) return STATUS_OK;
    return no_video(source, err, n == 0 ? "is empty" : "is none of MP4, MOV, MKV, WebM, AVI, MPEG, FLV, Ogg and WMV");
}

static Status open_container(VideoSource *source, const char *demuxer, Error *err) {
    const AVInputFormat *input = av_find_input_format(demuxer);
    if (!input) return no_video(source, err, "is of a type that this FFmpeg was built without");
    unsigned char *buffer = av_malloc(IO_BUFFER);
    AVIOContext *io = buffer ? avio_alloc_context(buffer, IO_BUFFER, 0, source, read_bytes, NULL, seek_bytes) : NULL;
    AVFormatContext *format = io ? avformat_alloc_context() : NULL;
    if (!format) {
        if (io) av_freep(&io->buffer);
        else av_free(buffer);
        avio_context_free(&io);
        return damage(source, AVERROR(ENOMEM), err);
    }
    format->pb = io;
    format->io_open = refuse_open;
    format->flags |= AVFMT_FLAG_CUSTOM_IO;
    format->probesize = PROBE_BYTES;
    format->max_streams = MAX_STREAMS;
    AVDictionary *options = NULL;
    av_dict_set(&options, "codec_whitelist", DECODERS, 0);
    int code = avformat_open_input(&format, NULL, input, &options); /* frees format when it fails, but not io */
    av_dict_free(&options);
    if (code >= 0) {
        source->format = format;
        code = avformat_find_stream_info(format, NULL);
    } else {
        av_freep(&io->buffer);
        avio_context_free(&io);
    }
    return code >= 0 ? STATUS_OK : damage(source, code, err);
}

/* ---- the stream ---- */

int video_orientation(const int32_t m[9]) {
    double a = m[0], b = m[1], c = m[3], d = m[4];
    bool transposed = fabs(b) + fabs(c) > fabs(a) + fabs(d);
    bool first = transposed ? c < 0 : a < 0, second = transposed ? b < 0 : d < 0;
    static const int STRAIGHT[2][2] = {{1, 4}, {2, 3}}, TURNED[2][2] = {{5, 8}, {6, 7}};
    return (transposed ? TURNED : STRAIGHT)[first][second];
}

static const int32_t *display_matrix(const AVStream *stream) {
    enum { MATRIX_BYTES = 9 * sizeof(int32_t) };
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
    const AVPacketSideData *data =
        av_packet_side_data_get(stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return data && data->size >= MATRIX_BYTES ? (const int32_t *)(const void *)data->data : NULL;
#else
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data && size >= MATRIX_BYTES ? (const int32_t *)(const void *)data : NULL;
#endif
}

static double rational(AVRational r) { return r.num > 0 && r.den > 0 ? (double)r.num / r.den : 0; }

static void read_facts(VideoSource *source) {
    const AVStream *stream = source->stream;
    VideoFacts *facts = &source->facts;
    const int32_t *matrix = display_matrix(stream);
    facts->orientation = matrix ? video_orientation(matrix) : 1;
    bool turned = facts->orientation >= 5;
    facts->width = turned ? stream->codecpar->height : stream->codecpar->width;
    facts->height = turned ? stream->codecpar->width : stream->codecpar->height;
    facts->codec = avcodec_get_name(stream->codecpar->codec_id);
    facts->frame_count = stream->nb_frames > 0 ? stream->nb_frames : 0;
    facts->duration_is_firm = stream->duration > 0 && rational(stream->time_base) > 0; /* AV_NOPTS_VALUE is negative */
    if (facts->duration_is_firm) facts->duration = (double)stream->duration * stream->time_base.num / stream->time_base.den;
    else if (source->format->duration > 0) facts->duration = (double)source->format->duration / AV_TIME_BASE;
    facts->duration_is_said = !facts->duration_is_firm && facts->duration > 0 && source->format->duration_estimation_method == AVFMT_DURATION_FROM_STREAM;
    facts->fps = rational(stream->avg_frame_rate);
    if (facts->fps == 0) facts->fps = rational(stream->r_frame_rate);
    if (facts->fps > HIGHEST_FPS) facts->fps = 0; /* a clock's rate, not the frames' */
    if (facts->fps == 0 && facts->duration > 0) facts->fps = (double)facts->frame_count / facts->duration;
}

static Status open_decoder(VideoSource *source, Error *err) {
    const AVCodecParameters *parameters = source->stream->codecpar;
    const AVCodec *codec = find_decoder(parameters->codec_id);
    if (!codec) return error_set(err, STATUS_UNSUPPORTED_MEDIA_TYPE, "Video '%s' is coded in %s, which is not read", source->name, avcodec_get_name(parameters->codec_id));
    if (parameters->width <= 0 || parameters->height <= 0) return error_set(err, STATUS_UNDECODABLE_MEDIA, "Video '%s' has no picture size", source->name);
    if ((int64_t)parameters->width * parameters->height > VIDEO_MAX_PIXELS || parameters->width > VIDEO_MAX_SIDE || parameters->height > VIDEO_MAX_SIDE)
        return error_set(err, STATUS_IMAGE_TOO_LARGE, "Video '%s' has %d x %d pixels; the limit is %d megapixels and %d a side", source->name, parameters->width,
                         parameters->height, VIDEO_MAX_PIXELS / 1000000, VIDEO_MAX_SIDE);
    source->decoder = avcodec_alloc_context3(codec);
    if (!source->decoder) return damage(source, AVERROR(ENOMEM), err);
    int code = avcodec_parameters_to_context(source->decoder, parameters);
    source->decoder->thread_count = DECODER_THREADS;
    source->decoder->max_pixels = VIDEO_MAX_PIXELS; /* sizes may change on the way */
    source->decoder->pkt_timebase = source->stream->time_base;
    if (code >= 0) code = avcodec_open2(source->decoder, codec, NULL);
    return code >= 0 ? STATUS_OK : damage(source, code, err);
}

static Status choose_stream(VideoSource *source, Error *err) {
    AVFormatContext *format = source->format;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        AVStream *stream = format->streams[i];
        bool usable = stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC);
        if (usable && !source->stream) source->stream = stream;
        else stream->discard = AVDISCARD_ALL;
    }
    return source->stream ? STATUS_OK : no_video(source, err, "has no picture stream");
}

static void forget_packets(VideoSource *source) {
    for (int i = 0; i < RECENT_PACKETS; i++) source->recent[i] = NAN;
}

Status video_open(VideoSource **out, const char *path, const char *name, Error *err) {
    VideoSource *source = calloc(1, sizeof *source);
    const char *demuxer = NULL;
    *out = NULL;
    if (!source || !(source->name = strdup(name))) {
        free(source);
        return error_set(err, STATUS_OUT_OF_MEMORY, "No memory");
    }
    source->wanted = -INFINITY;
    forget_packets(source);
    av_log_set_level(AV_LOG_QUIET); /* the answer says what is wrong with somebody's file */
    av_max_alloc(LARGEST_BLOCK);
    Status status = open_file(source, path, &demuxer, err);
    if (status == STATUS_OK) status = open_container(source, demuxer, err);
    if (status == STATUS_OK) status = choose_stream(source, err);
    if (status == STATUS_OK) status = open_decoder(source, err);
    if (status == STATUS_OK) {
        source->packet = av_packet_alloc();
        source->frame = av_frame_alloc();
        if (!source->packet || !source->frame) status = damage(source, AVERROR(ENOMEM), err);
    }
    if (status == STATUS_OK) read_facts(source);
    if (status == STATUS_OK) *out = source;
    else video_close(source);
    return status;
}

void video_close(VideoSource *source) {
    if (!source) return;
    AVIOContext *io = source->format ? source->format->pb : NULL;
    avcodec_free_context(&source->decoder);
    avformat_close_input(&source->format);
    if (io) av_freep(&io->buffer);
    avio_context_free(&io);
    av_packet_free(&source->packet);
    av_frame_free(&source->frame);
    if (source->fd >= 0) close(source->fd);
    free(source->name);
    free(source);
}

const VideoFacts *video_facts(const VideoSource *source) { return &source->facts; }
int64_t video_damaged(const VideoSource *source) { return source->damaged; }

static double stream_seconds(const VideoSource *source, int64_t timestamp) {
    int64_t start = source->stream->start_time == AV_NOPTS_VALUE ? 0 : source->stream->start_time;
    AVRational unit = source->stream->time_base;
    return unit.num > 0 && unit.den > 0 ? ((double)timestamp - (double)start) * unit.num / unit.den : 0;
}

void video_complete_facts(VideoSource *source, double seconds) {
    VideoFacts *facts = &source->facts;
    if (facts->frame_count > 0 && facts->duration > 0 && facts->fps > 0) return;
    double deadline = clock_monotonic() + seconds, end = 0;
    int64_t packets = 0;
    bool whole = false;
    while (!whole && clock_monotonic() < deadline) {
        int code = av_read_frame(source->format, source->packet);
        whole = code < 0;
        if (whole) break;
        if (source->packet->stream_index == source->stream->index) {
            packets++;
            if (source->packet->pts != AV_NOPTS_VALUE) end = fmax(end, stream_seconds(source, source->packet->pts + (source->packet->duration > 0 ? source->packet->duration : 0)));
        }
        av_packet_unref(source->packet);
    }
    if (whole && facts->frame_count == 0) facts->frame_count = packets;
    if (whole && facts->duration == 0) facts->duration = end;
    if (facts->fps == 0 && facts->duration > 0) facts->fps = (double)facts->frame_count / facts->duration;
    if (facts->frame_count == 0) facts->frame_count = llround(facts->duration * facts->fps);
}

/* ---- frames ---- */

/* The decoder's next frame. AVERROR(EAGAIN): it wants a packet. */
static int receive(VideoSource *source) {
    int code = avcodec_receive_frame(source->decoder, source->frame);
    if (code >= 0) source->bad_in_a_row = 0;
    return code;
}

/* Whether the frame of a packet lies before one that is shown no later than the instant that is waited for: then it is not the nearest to that
 * instant or to a later one. The packet of a frame that others lean on comes before theirs, so the later one is known by now; a greater distance
 * would be a clock that was set back. */
static bool is_passed_over(VideoSource *source) {
    if (source->packet->pts == AV_NOPTS_VALUE || source->clock_offset != 0) return false;
    double time = stream_seconds(source, source->packet->pts);
    bool passed = false;
    for (int i = 0; i < RECENT_PACKETS; i++) {
        double other = source->recent[i];
        passed |= other > time && other <= source->wanted && other - time < CLOCK_RESTART_SECONDS;
    }
    source->newest = (source->newest + 1) % RECENT_PACKETS;
    source->recent[source->newest] = time;
    return passed;
}

static int feed(VideoSource *source) {
    int code = av_read_frame(source->format, source->packet);
    if (code == AVERROR_EOF) {
        source->drained = true;
        avcodec_send_packet(source->decoder, NULL);
        return 0;
    }
    if (code < 0) return code;
    if (source->packet->stream_index == source->stream->index) {
        source->decoder->skip_frame = is_passed_over(source) ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
        int sent = avcodec_send_packet(source->decoder, source->packet);
        if (sent < 0 && sent != AVERROR(EAGAIN)) { /* one bad packet is no end */
            source->damaged++;
            if (sent == AVERROR(ENOMEM) || ++source->bad_in_a_row > BAD_IN_A_ROW) code = sent;
        }
    }
    av_packet_unref(source->packet);
    return code;
}

/* False: out of order, to be passed over. */
static bool frame_time(VideoSource *source, double *out) {
    double step = 1 / (source->facts.fps > 0 ? source->facts.fps : ASSUMED_FPS);
    int64_t timestamp = source->frame->best_effort_timestamp;
    double time = timestamp == AV_NOPTS_VALUE ? (source->any ? source->last_time + step : 0) : stream_seconds(source, timestamp) + source->clock_offset;
    if (source->any && time <= source->last_time) {
        if (source->last_time - time < CLOCK_RESTART_SECONDS) return false;
        source->clock_offset += source->last_time + step - time;
        time = source->last_time + step;
    }
    source->any = true;
    *out = source->last_time = time;
    return true;
}

static bool is_whole(const AVFrame *frame) { return !(frame->flags & AV_FRAME_FLAG_CORRUPT) && frame->decode_error_flags == 0; }

Status video_next(VideoSource *source, AVFrame **out, double *out_time, Error *err) {
    *out = NULL;
    for (;;) {
        int code = receive(source);
        if (code >= 0) {
            bool whole = is_whole(source->frame);
            source->damaged += !whole;
            if (!frame_time(source, out_time) || !whole) continue;
            *out = source->frame;
            return STATUS_OK;
        }
        if (code == AVERROR_EOF) return STATUS_OK;
        if (code != AVERROR(EAGAIN)) { /* threads report a bad packet late, here */
            source->damaged++;
            if (code == AVERROR(ENOMEM) || ++source->bad_in_a_row > BAD_IN_A_ROW) return damage(source, code, err);
            continue;
        }
        if (source->drained) return STATUS_OK;
        code = feed(source);
        if (code < 0) return damage(source, code, err);
    }
}

static bool jump(VideoSource *source, double time) {
    int64_t start = source->stream->start_time == AV_NOPTS_VALUE ? 0 : source->stream->start_time;
    double unit = rational(source->stream->time_base);
    int64_t target = time <= 0 || unit == 0 ? start : start + (int64_t)floor(time / unit);
    if (av_seek_frame(source->format, source->stream->index, target, AVSEEK_FLAG_BACKWARD) < 0) return false;
    avcodec_flush_buffers(source->decoder);
    source->any = source->drained = false;
    source->clock_offset = 0;
    source->bad_in_a_row = 0;
    source->wanted = -INFINITY;
    forget_packets(source);
    return true;
}

Status video_seek(VideoSource *source, double time, Error *err) {
    const double TARGETS[] = {time - REORDER_SECONDS, time - 20, 0};
    for (size_t i = 0; i < sizeof TARGETS / sizeof *TARGETS; i++) {
        AVFrame *frame;
        double found;
        if (TARGETS[i] < 0 || !jump(source, TARGETS[i])) continue;
        if (video_next(source, &frame, &found, err) != STATUS_OK || !frame || found > time) continue;
        if (jump(source, TARGETS[i])) return STATUS_OK;
    }
    return jump(source, 0) ? STATUS_OK : error_set(err, STATUS_UNDECODABLE_MEDIA, "Video '%s' cannot be read from its start again", source->name);
}

void video_skip_towards(VideoSource *source, double time) {
    source->wanted = time;
    double unit = rational(source->stream->time_base), target = time - REORDER_SECONDS;
    if (!source->any || source->clock_offset != 0 || unit == 0 || target <= source->last_time + REORDER_SECONDS) return;
    int64_t start = source->stream->start_time == AV_NOPTS_VALUE ? 0 : source->stream->start_time;
    int index = av_index_search_timestamp(source->stream, start + (int64_t)(target / unit), AVSEEK_FLAG_BACKWARD);
    const AVIndexEntry *entry = index >= 0 ? avformat_index_get_entry(source->stream, index) : NULL;
    if (entry && stream_seconds(source, entry->timestamp) > source->last_time + REORDER_SECONDS) jump(source, target);
}
