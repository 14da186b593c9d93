/* Tensor files: what is written is read back, a checkpoint made by PyTorch reads (PTH_FILE), and broken files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "train/checkpoint.h"
#include "train/weights.h"
#include "base/banned.h"

static void safetensors_round_trip(void **state) {
    (void)state;
    Error err = {0};
    char path[] = "/tmp/tensor-file-XXXXXX";
    close(mkstemp(path));
    float values[6] = {1, -2, 3.5f, 0, 1e30f, -1e-30f}, back[6];
    TensorEntry entries[] = {{.name = "a.weight", .rank = 2, .shape = {2, 3}, .elements = 6, .data = (uint8_t *)values},
                             {.name = "b", .rank = 0, .elements = 1, .data = (uint8_t *)(values + 2)}};
    assert_int_equal(safetensors_write(path, entries, 2, "{\"epoch\":\"3\"}", &err), STATUS_OK);
    TensorFile file;
    assert_int_equal(tensor_file_open(&file, path, &err), STATUS_OK);
    assert_int_equal(file.count, 2);
    assert_string_equal(file.metadata, "{\"epoch\":\"3\"}");
    const TensorEntry *a = tensor_file_find(&file, "a.weight");
    assert_int_equal(a->shape[1], 3);
    assert_true(tensor_entry_floats(back, a));
    assert_memory_equal(back, values, sizeof values);
    assert_null(tensor_file_find(&file, "c"));
    tensor_file_close(&file);
    unlink(path);
}

static Status read_text(const char *header) {
    uint8_t bytes[512] = {0};
    uint64_t size = strlen(header);
    memcpy(bytes, &size, 8);
    memcpy(bytes + 8, header, size);
    TensorFile file;
    Status status = safetensors_read(&file, bytes, 8 + size + 8, NULL);
    if (status == STATUS_OK) tensor_file_close(&file);
    return status;
}

static void broken_safetensors_are_refused(void **state) {
    (void)state;
    assert_int_equal(read_text("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"), STATUS_OK);
    static const char *const broken[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",  "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2147483647,2147483647,2147483647],\"data_offsets\":[0,8]}}", "{\"a\":3}", "[]", "{", "",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) assert_int_not_equal(read_text(broken[i]), STATUS_OK);
    uint8_t longer[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    TensorFile file;
    assert_int_not_equal(safetensors_read(&file, longer, 8, NULL), STATUS_OK);
    assert_int_not_equal(safetensors_read(&file, longer, 3, NULL), STATUS_OK);
}

static void checkpoint_of_pytorch_reads(void **state) {
    (void)state;
    Error err = {0};
    TensorFile file;
    if (tensor_file_open(&file, PTH_FILE, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(file.count, 5);
    float values[6];
    const TensorEntry *a = tensor_file_find(&file, "conv.weight");
    assert_int_equal(a->rank, 4);
    assert_int_equal(a->elements, 6);
    assert_true(tensor_entry_floats(values, a));
    for (int i = 0; i < 6; i++) assert_true(values[i] == (float)i / 2);
    const TensorEntry *half = tensor_file_find(&file, "half"), *view = tensor_file_find(&file, "view");
    assert_true(tensor_entry_floats(values, half) && values[0] == 1.5f && values[1] == -2);
    assert_true(tensor_entry_floats(values, view) && values[0] == 1.5f); /* rows 3 to 5 of the first one's storage */
    assert_true(tensor_entry_floats(values, tensor_file_find(&file, "count")) && values[0] == 7);
    assert_true(tensor_entry_floats(values, tensor_file_find(&file, "brain")) && values[0] == 3);
    tensor_file_close(&file);
}

/* Every byte of a good file made wrong in turn, and every length: an error or a value, and nothing that a sanitizer minds. */
static void damaged_checkpoints_do_no_harm(void **state) {
    (void)state;
    Buffer bytes;
    buffer_init(&bytes, 1 << 20);
    assert_int_equal(file_read(PTH_FILE, &bytes, NULL), STATUS_OK);
    TensorFile file;
    int read = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        char kept = bytes.data[i];
        bytes.data[i] = (char)(kept ^ 0x41);
        if (pth_read(&file, (const uint8_t *)bytes.data, bytes.size, NULL) == STATUS_OK) {
            read++;
            tensor_file_close(&file);
        }
        bytes.data[i] = kept;
        uint8_t *cut = xmalloc(i + 1);
        memcpy(cut, bytes.data, i);
        assert_int_not_equal(pth_read(&file, cut, i, NULL), STATUS_OK);
        free(cut);
    }
    assert_true(read > 0);
    buffer_clear(&bytes);
}

static void checkpoint_round_trip(void **state) {
    (void)state;
    Error err = {0};
    char path[] = "/tmp/checkpoint-XXXXXX";
    close(mkstemp(path));
    Yolox *net = yolox_new(YOLOX_NANO, 2);
    float *weights = xcalloc(net->size, sizeof *weights);
    Optimizer a, b;
    yolox_initialize(net, 1, weights);
    optimizer_init(&a, net, weights);
    yolox_initialize(net, 2, weights);
    optimizer_init(&b, net, weights);
    a.velocity[5] = 0.25f;
    a.average[9] = 3;
    Progress progress = {.epoch = 4, .updates = 123, .seconds = 5.5}, back;
    assert_int_equal(checkpoint_write(path, &a, &progress, "this-run", &err), STATUS_OK);
    assert_int_equal(checkpoint_read(path, &b, &back, "another-run", &err), STATUS_NOT_FOUND);
    assert_int_equal(checkpoint_read(path, &b, &back, "this-run", &err), STATUS_OK);
    assert_memory_equal(a.weights, b.weights, net->size * sizeof(float));
    assert_memory_equal(a.average, b.average, net->size * sizeof(float));
    assert_memory_equal(a.velocity, b.velocity, net->trained * sizeof(float));
    assert_true(back.epoch == 4 && back.updates == 123 && back.seconds == 5.5);
    TensorFile file;
    int skipped;
    Yolox *other = yolox_new(YOLOX_NANO, 5), *larger = yolox_new(YOLOX_TINY, 2);
    float *more = xcalloc(larger->size + other->size, sizeof *more);
    assert_int_equal(tensor_file_open(&file, path, &err), STATUS_OK);
    assert_int_equal(weights_read(other, more, &file, "average/", &skipped, &err), STATUS_OK);
    assert_int_equal(skipped, 6);
    assert_int_equal(weights_read(larger, more, &file, "average/", &skipped, &err), STATUS_VALIDATION_ERROR);
    tensor_file_close(&file);
    unlink(path);
    assert_int_equal(checkpoint_read(path, &b, &back, "this-run", &err), STATUS_NOT_FOUND);
    free(weights);
    free(more);
    optimizer_clear(&a);
    optimizer_clear(&b);
    yolox_free(net);
    yolox_free(other);
    yolox_free(larger);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_round_trip),
        cmocka_unit_test(broken_safetensors_are_refused),
        cmocka_unit_test(checkpoint_of_pytorch_reads),
        cmocka_unit_test(damaged_checkpoints_do_no_harm),
        cmocka_unit_test(checkpoint_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
