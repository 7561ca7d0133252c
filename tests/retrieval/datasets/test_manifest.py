from pathlib import Path

import pytest
from PIL import Image

from retrieval.datasets import ImageDataset, open_dataset
from retrieval.errors import DataError


def write(root: Path, text: str, name: str = "manifest.csv", images: str = "abcdef") -> Path:
    for image in images:
        Image.new("RGB", (4, 4)).save(root / f"{image}.png")
    path = root / name
    path.write_text(text, encoding="utf-8")
    return path


def read(root: Path, text: str) -> ImageDataset:
    return open_dataset(str(write(root, text)))


def test_columns_become_typed_attributes(tmp_path: Path) -> None:
    text = (
        "\ufeffpath,label,price,stock,code,new,colour,empty\n"
        'a.png,"vase, blue",10,1.5,007,true,red,\n'
        "b.png,bowl,,2,012,False,,\n"
        "\n"
        "c.png,bowl,-3,2e1,1,TRUE,nan,\n"
    )
    first, second, third = read(tmp_path, text).records
    assert first.label == "vase, blue"
    assert first.path == tmp_path / "a.png"
    assert first.attributes == {"price": 10, "stock": 1.5, "code": "007", "new": True, "colour": "red"}
    assert second.attributes == {"stock": 2.0, "code": "012", "new": False}
    assert third.attributes == {"price": -3, "stock": 20.0, "code": "1", "new": True, "colour": "nan"}
    assert type(first.attributes["price"]) is int
    assert type(second.attributes["stock"]) is float


@pytest.mark.parametrize(
    ("splits", "names", "default"),
    [
        ("train test", ("train", "test", "all"), "test"),
        ("train validation", ("train", "validation", "all"), "validation"),
        ("query gallery", ("query", "gallery", "all"), "query/gallery"),
        ("mine yours", ("mine", "yours", "all"), "all"),
    ],
)
def test_the_splits_are_those_of_the_column(
    tmp_path: Path, splits: str, names: tuple[str, ...], default: str
) -> None:
    one, other = splits.split()
    text = f"path,label,split\na.png,x,{one}\nb.png,y,{other}\nc.png,x,{one}\n"
    dataset = read(tmp_path, text)
    assert dataset.split_names == names
    assert dataset.default_split == default
    assert [path.name for path in dataset.subset(one).paths] == ["a.png", "c.png"]


def test_queries_and_gallery_share_the_numbers_of_their_classes(tmp_path: Path) -> None:
    text = "path,label,split\na.png,z,query\nb.png,a,gallery\nc.png,z,gallery\n"
    query, gallery = read(tmp_path, text).query_gallery()
    assert query.classes == gallery.classes == ("a", "z")
    assert query.labels.tolist() == [1]
    assert gallery.labels.tolist() == [0, 1]


def test_without_a_column_classes_alternate(tmp_path: Path) -> None:
    dataset = read(tmp_path, "label,path\nx,a.png\ny,b.png\nz,c.png\nx,d.png\n")
    assert dataset.subset("train").classes == ("x", "z")
    assert dataset.subset("validation").classes == ("y",)
    assert dataset.default_split == "all"


def test_a_folder_with_a_manifest_is_read_by_it_and_any_csv_by_its_name(tmp_path: Path) -> None:
    text = "path,label\na.png,x\nb.png,y\n"
    write(tmp_path, text)
    assert open_dataset(str(tmp_path)).name == tmp_path.name
    write(tmp_path, text, "autumn.csv")
    assert open_dataset(str(tmp_path / "autumn.csv")).name == "autumn"


def test_missing_and_empty_images_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "void.png").touch()
    dataset = read(tmp_path, "path,label\na.png,x\nb.png,y\nvoid.png,x\ngone.png,x\n")
    assert len(dataset.records) == 2
    assert "void.png: is empty" in dataset.problems[0]
    assert "gone.png: cannot be read" in dataset.problems[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "needs a column 'path'; its header has nothing"),
        ("file,label\na.png,x\n", "needs a column 'path'; its header has file, label"),
        ("path;label\na.png;x\n", "needs a column 'path'; its header has path;label"),
        ("path,label,path\n", "column 'path' twice"),
        ("path,label,\n", "column 3 has no name"),
        ("path,label\n", "no rows below its header"),
        ("path,label\na.png\n", "line 2: 2 cells expected, 1 found"),
        ("path,label\na.png,x\nb.png,\n", "line 3: label is empty"),
        ("path,label,split\na.png,x,\n", "line 2: split is empty"),
        ("path,label,split\na.png,x,all\n", "line 2: 'all' is every split's name"),
        ("path,label\na.png,x\nb.png,y\na.png,y\n", "line 4: a.png is already on line 2"),
        ('path,label\n"a.png,x\n', "cannot be read as CSV"),
        ("path,label\na.png,x\nb.png,x\n", "one class, 'x'"),
        ("path,label\nu.png,x\nv.png,y\n", "names no readable image"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(DataError, match=why) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "manifest.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes("path,label\na.png,Krüge\n".encode("latin-1"))
    with pytest.raises(DataError, match="cannot be read as CSV in UTF-8"):
        open_dataset(str(path))
