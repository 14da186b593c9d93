"""Tiny random SAM, SAM 2, SAM 3 and SigLIP 2 models from the reference code, exported the way operators export the real ones, with the numbers that the reference gives.

Runs in build/deps/models-venv (tools/setup test): export_models.py FOLDER. Writes FOLDER/<name>/{manifest.json, *.onnx} and FOLDER/expected.npz.
"""
import json
import pathlib
import re
import sys
import types

import numpy as np
import torch
from torch.nn import functional as F

SIDE = 128
PROMPTS = {
    "click": ([[40, 50]], [1], None),
    "three": ([[40, 50], [100, 30], [20, 80]], [1, 1, 0], None),
    "box": (None, None, [20, 15, 110, 80]),
}
SIZES = {"same": (SIDE, 96), "large": (301, 211), "tall": (90, 200)}


def picture(width, height):
    """Smooth colours, so that one pixel's rounding in a resize moves nothing."""
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / width, y / height
    return np.stack([120 + 100 * np.sin(5 * u + 2 * v), 128 + 90 * np.cos(4 * v), 60 + 150 * u * v], -1).clip(0, 255).astype(np.uint8)


def stub_torchvision():
    """segment_anything imports it for what is not used here."""
    for name in ("torchvision", "torchvision.ops", "torchvision.ops.boxes", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = types.ModuleType(name)
    for module, names in (("torchvision.ops.boxes", ("batched_nms", "box_area")), ("torchvision.transforms.functional", ("resize", "to_pil_image"))):
        for name in names:
            setattr(sys.modules[module], name, None)


def export(model, args, path, inputs, outputs, dynamic=None):
    with torch.no_grad():
        torch.onnx.export(model, args, str(path), input_names=inputs, output_names=outputs, dynamic_axes=dynamic or {}, opset_version=17, dynamo=False)


def write_manifest(folder, **members):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(members))


def lively(model):
    """Random weights of a size at which the masks have both signs."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn_like(parameter) * (1.6 / parameter[0].numel() ** 0.5))
    return model.eval()


def embed_size(image, side):
    height, width = image.shape[:2]
    scale = side / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def resized(image, height, width):
    from PIL import Image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.BILINEAR))


# ---- SAM ----

def make_sam(folder, expected):
    stub_torchvision()
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
    from segment_anything.utils.onnx import SamOnnxModel
    torch.manual_seed(5)
    width, grid = 32, SIDE // 16
    sam = lively(Sam(
        image_encoder=ImageEncoderViT(img_size=SIDE, patch_size=16, embed_dim=32, depth=2, num_heads=2, out_chans=width, use_rel_pos=True, window_size=4,
                                      global_attn_indexes=(1,)),
        prompt_encoder=PromptEncoder(embed_dim=width, image_embedding_size=(grid, grid), input_image_size=(SIDE, SIDE), mask_in_chans=4),
        mask_decoder=MaskDecoder(num_multimask_outputs=3, transformer=TwoWayTransformer(depth=2, embedding_dim=width, mlp_dim=64, num_heads=2),
                                 transformer_dim=width, iou_head_depth=2, iou_head_hidden_dim=32)))
    write_manifest(folder, role="sam", description="tiny random SAM", files={"encoder": "encoder.onnx", "decoder": "decoder.onnx"}, input_size=SIDE)
    export(sam.image_encoder, (torch.randn(1, 3, SIDE, SIDE),), folder / "encoder.onnx", ["images"], ["embeddings"])
    decoder = SamOnnxModel(sam, return_single_mask=False).eval()
    example = (torch.randn(1, width, grid, grid), torch.rand(1, 4, 2) * SIDE, torch.ones(1, 4), torch.zeros(1, 1, 4 * grid, 4 * grid), torch.zeros(1),
               torch.tensor([96.0, 128.0]))
    export(decoder, example, folder / "decoder.onnx",
           ["image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"], ["masks", "iou_predictions", "low_res_masks"],
           {"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}})
    mean, std = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1), torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    for size, (w, h) in SIZES.items():
        image = picture(w, h)
        new_h, new_w = embed_size(image, SIDE)
        pixels = (torch.from_numpy(resized(image, new_h, new_w)).permute(2, 0, 1).float() - mean) / std
        frame = F.pad(pixels, (0, SIDE - new_w, 0, SIDE - new_h))[None]
        with torch.no_grad():
            features = sam.image_encoder(frame)
        for name, (points, labels, box) in PROMPTS.items():
            coords, marks = (list(points), list(labels)) if points else ([], [])
            if box:
                coords, marks = coords + [box[:2], box[2:]], marks + [2, 3]
            else:
                coords, marks = coords + [[0, 0]], marks + [-1]
            coords = torch.tensor(coords, dtype=torch.float) * torch.tensor([new_w / w, new_h / h])
            single = SamOnnxModel(sam, return_single_mask=True).eval()
            masks, scores, _ = single(features, coords[None], torch.tensor(marks, dtype=torch.float)[None], torch.zeros(1, 1, 4 * grid, 4 * grid), torch.zeros(1),
                                      torch.tensor([h, w], dtype=torch.float))
            expected[f"sam/{size}/{name}/mask"] = masks[0, 0].numpy() > 0
            expected[f"sam/{size}/{name}/score"] = scores[0, 0].item()


# ---- SAM 2 ----

class Sam2Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        return tuple(self.model.get_image_embeddings(image))


class Sam2Decoder(torch.nn.Module):
    """Points in, three masks out: the shape of the usual export."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image_embed, high_res_feats_0, high_res_feats_1, point_coords, point_labels, mask_input, has_mask_input):
        m = self.model
        sparse = m.prompt_encoder._embed_points(point_coords[:, None], point_labels[:, None].to(torch.int64), pad=False)
        dense = has_mask_input * m.prompt_encoder.mask_embed(mask_input) + (1 - has_mask_input) * m.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        masks, scores, _, _ = m.mask_decoder(image_embed, m.get_image_wide_positional_embeddings(), sparse, dense, True, [high_res_feats_0, high_res_feats_1])
        return masks[:, 0], scores[:, 0]


def make_sam2(folder, expected):
    from transformers import Sam2Config, Sam2Model
    torch.manual_seed(3)
    width, dims, grid = 32, [16, 32, 64, 128], SIDE // 16
    model = lively(Sam2Model(Sam2Config(
        vision_config={"backbone_config": {"model_type": "sam2_hiera_det_model", "hidden_size": 16, "image_size": SIDE, "blocks_per_stage": [1, 1, 2, 1],
                                           "embed_dim_per_stage": dims, "num_attention_heads_per_stage": [1, 2, 4, 8], "window_size_per_stage": [8, 4, 8, 4],
                                           "global_attention_blocks": [3], "window_positional_embedding_background_size": [7, 7]},
                       "backbone_channel_list": dims[::-1], "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2], "fpn_hidden_size": width},
        prompt_encoder_config={"hidden_size": width, "image_size": SIDE, "mask_input_channels": 4},
        mask_decoder_config={"hidden_size": width, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_depth": 2, "iou_head_hidden_dim": 32})))
    write_manifest(folder, role="sam2", description="tiny random SAM 2", files={"encoder": "encoder.onnx", "decoder": "decoder.onnx"}, input_size=SIDE)
    encoder, decoder = Sam2Encoder(model).eval(), Sam2Decoder(model).eval()
    frame = torch.randn(1, 3, SIDE, SIDE)
    export(encoder, (frame,), folder / "encoder.onnx", ["image"], ["high_res_feats_0", "high_res_feats_1", "image_embed"])
    high_0, high_1, embed = encoder(frame)
    example = (embed, high_0, high_1, torch.rand(1, 4, 2) * SIDE, torch.ones(1, 4), torch.zeros(1, 1, 4 * grid, 4 * grid), torch.zeros(1))
    export(decoder, example, folder / "decoder.onnx",
           ["image_embed", "high_res_feats_0", "high_res_feats_1", "point_coords", "point_labels", "mask_input", "has_mask_input"], ["masks", "iou_predictions"],
           {"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}})
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    for size, (w, h) in SIZES.items():
        frame = (torch.from_numpy(resized(picture(w, h), SIDE, SIDE)).permute(2, 0, 1).float() / 255 - mean) / std
        for name, (points, labels, box) in PROMPTS.items():
            scale = torch.tensor([SIDE / w, SIDE / h])
            asked = {"input_boxes": (torch.tensor(box).reshape(2, 2) * scale).reshape(1, 1, 4)} if box else {
                "input_points": (torch.tensor(points, dtype=torch.float) * scale)[None, None], "input_labels": torch.tensor(labels)[None, None]}
            with torch.no_grad():
                out = model(pixel_values=frame[None], multimask_output=True, **asked)
            best = int(out.iou_scores[0, 0].argmax())
            mask = F.interpolate(out.pred_masks[:, 0], (h, w), mode="bilinear", align_corners=False)[0, best]
            expected[f"sam2/{size}/{name}/mask"] = mask.numpy() > 0
            expected[f"sam2/{size}/{name}/score"] = out.iou_scores[0, 0, best].item()


# ---- SigLIP 2 ----

def docs_script(name):
    """A script of docs/models.md, as operators run it."""
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text()
    (text,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if block.startswith(f"# {name} ")]
    module = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
    return module


WORDS = {"objects": ["Cat", "dog", "blood cell", "forklift", "apple"], "scenes": ["loading dock", "beach", "street"]}


def make_siglip2(folder, expected, kind):
    """kind "siglip": the checkpoints of fixed size; "siglip2": those that take patches."""
    import transformers
    torch.manual_seed(7)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    side = 64
    size = {"image_size": side} if kind == "siglip" else {"num_patches": (side // 16) ** 2}
    config, model = (transformers.SiglipConfig, transformers.SiglipModel) if kind == "siglip" else (transformers.Siglip2Config, transformers.Siglip2Model)
    model = lively(model(config(text_config={**small, "vocab_size": 99, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2},
                                vision_config={**small, "patch_size": 16, **size})))
    with torch.no_grad():
        model.logit_scale.fill_(2.0)
        model.logit_bias.fill_(-0.5)
    tokens = torch.randint(3, 99, (8, 16))
    docs_script("export_siglip2.py").export(model, tokens, WORDS, folder)
    for size, (w, h) in {**SIZES, "exact": (side, side)}.items():
        pixels = torch.from_numpy(resized(picture(w, h), side, side)).permute(2, 0, 1).float()[None] / 127.5 - 1
        more = {}
        if kind == "siglip2":  # as Siglip2ImageProcessor cuts a picture
            from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches
            pixels = torch.from_numpy(convert_image_to_patches(pixels[0].numpy(), 16))[None]
            more = {"pixel_attention_mask": torch.ones(1, 16, dtype=torch.int64), "spatial_shapes": torch.tensor([[4, 4]])}
        with torch.no_grad():
            out = model(input_ids=tokens, pixel_values=pixels, **more)
        expected[f"{folder.name}/{size}/embedding"] = out.image_embeds[0].numpy()
        expected[f"{folder.name}/{size}/probabilities"] = out.logits_per_image[0].sigmoid().numpy()


# ---- SAM 3 ----

PHRASES = ["cat", "Red blood cells", "the traffic lights' 3rd lamp!", "zebra"]


def clip_tokenizer():
    """CLIP's kind with few merges: each step joins the pair that is most frequent in some words."""
    from collections import Counter
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer
    letters = sorted(ByteLevel.alphabet())
    tokens, merges = [*letters, *(letter + "</w>" for letter in letters)], []
    text = "cat cats red blood cell cells the traffic light lights lamp lamps zebra zebras 3 rd dog dogs house houses tree trees".split()
    words = [[*word[:-1], word[-1] + "</w>"] for word in text]
    for _ in range(60):
        (left, right), _ = max(Counter(pair for word in words for pair in zip(word, word[1:])).items(), key=lambda item: (item[1], item[0]))
        merges.append((left, right))
        tokens.append(left + right)
        for word in words:
            for i in range(len(word) - 2, -1, -1):
                if word[i:i + 2] == [left, right]:
                    word[i:i + 2] = [left + right]
        if all(len(word) == 1 for word in words):
            break
    vocabulary = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges), len(vocabulary)


def sam3_picture(size, width, height):
    """Of one colour where it has to be resized: random weights make much of the levels in which two resamplings differ."""
    return picture(width, height) if size == "exact" else np.full((height, width, 3), (200, 90, 40), np.uint8)


def make_sam3(folder, expected):
    from transformers import Sam3Config, Sam3Model
    torch.manual_seed(11)
    tokenizer, size = clip_tokenizer()
    side, width = 112, 32
    small = {"hidden_size": width, "intermediate_size": 64, "num_attention_heads": 4}
    model = lively(Sam3Model(Sam3Config(
        vision_config={"backbone_config": {**small, "model_type": "sam3_vit_model", "num_hidden_layers": 2, "image_size": side, "patch_size": 14, "window_size": 4,
                                           "global_attn_indexes": [1], "pretrain_image_size": 56},
                       "fpn_hidden_size": width, "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]]},
        text_config={**small, "model_type": "clip_text_model", "vocab_size": size, "projection_dim": 16, "num_hidden_layers": 2, "max_position_embeddings": 32,
                     "hidden_act": "gelu", "bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1},
        geometry_encoder_config={**small, "num_layers": 1}, detr_encoder_config={**small, "num_layers": 2},
        detr_decoder_config={**small, "num_layers": 2, "num_queries": 12}, mask_decoder_config={"hidden_size": width, "num_attention_heads": 4})))
    with torch.no_grad():  # queries that differ, so that their order is no matter of rounding
        model.detr_decoder.query_embed.weight.mul_(12)
        model.dot_product_scoring.scale = 0.03
    docs_script("export_sam3.py").export(model, tokenizer, folder)
    with torch.no_grad():
        for size, (w, h) in {**SIZES, "exact": (side, side)}.items():
            pixels = torch.from_numpy(resized(sam3_picture(size, w, h), side, side)).permute(2, 0, 1).float()[None] / 127.5 - 1
            for phrase in PHRASES:
                words = tokenizer(phrase, padding="max_length", max_length=32, return_tensors="pt")  # as Sam3Processor asks
                out = model(pixel_values=pixels, input_ids=words.input_ids, attention_mask=words.attention_mask)
                # as Sam3ImageProcessor.post_process_instance_segmentation decides
                expected[f"sam3/{size}/{phrase}/scores"] = (out.pred_logits.sigmoid() * out.presence_logits.sigmoid())[0].numpy()
                expected[f"sam3/{size}/{phrase}/boxes"] = (out.pred_boxes[0] * torch.tensor([w, h, w, h])).numpy()
                masks = F.interpolate(out.pred_masks.sigmoid(), (h, w), mode="bilinear", align_corners=False)
                expected[f"sam3/{size}/{phrase}/masks"] = masks[0].numpy() > 0.5
    rng = np.random.default_rng(3)
    strange = ["", " ", "it's they'll I'm 'quoted' d'accord", "ÄÖÜ straße naïve café", "Ελληνικά Ἀ", "Привет Ёж", "日本語 テスト", "😀 cat😀", "a\tb\nc  d", "１２ ３", "x²", "e-mail@x.org", "100%",
               "<cat>", "red_blood_cells", "don't", "'s", "!!'s", "ABC123def", "Ǆ"]
    letters = list("catsrdoblhegif'  -3!ÄéZ")
    phrases = [*PHRASES, *strange, *("".join(rng.choice(letters, rng.integers(1, 24))) for _ in range(300))]
    (folder.parent / "tokens.json").write_text(json.dumps([[phrase, tokenizer(phrase).input_ids] for phrase in phrases]))


def main(folder):
    expected = {}
    make_sam3(folder / "sam3", expected)
    make_siglip2(folder / "siglip2", expected, "siglip")
    make_siglip2(folder / "naflex", expected, "siglip2")
    make_sam2(folder / "sam2", expected)
    make_sam(folder / "sam", expected)  # last: it stubs torchvision, which transformers looks for
    np.savez(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
