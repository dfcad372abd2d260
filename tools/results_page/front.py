"""README's rows of results and its picture, made from the pages that tools/results wrote."""
import os
import re

# Pages of docs/measured/ with those rows, and option files of jobs/ whose rows README shows.
PAGES = ("image-models.md", "RESULTS.md")
HEADLINES = ("mnist-conv.ini", "cifar10-conv-coupling.ini", "tiny-imagenet-conv.ini")
# Section: the published row to stand beside ours.
PUBLISHED = {"MNIST": "Keller et al. 2021: 9 convolutional layers, self-normalizing"}
BEGIN, END = "<!-- results: written by tools/results -->", "<!-- /results -->"


def sections(page):
    """(title, rows of its tables as lists of cells) of every section on a data set."""
    for title, text in re.findall(r"(?ms)^### (.*?)\n(.*?)(?=^##|\Z)", page):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
                if line.startswith("| ")]
        yield title, rows


def row_with(rows, word):
    return next((row for row in rows if word in row[0]), None)


def table(pages):
    """The lines of README's table, of texts of pages."""
    lines = ["| data, training images | test bits/dim | training | for comparison |", "|---|---|---|---|"]
    for title, rows in (section for page in pages for section in sections(page)):
        data, train, *_ = title.split(", ")
        for config in HEADLINES:
            ours = row_with(rows, f"`jobs/{config}`")
            if ours is None or len(ours) < 6:
                continue
            beside = []
            published = row_with(rows, PUBLISHED.get(data, "no such row"))
            if published:
                beside.append(f"{published[1]}: {published[0]} ({published[4].split(',')[0]} on a GPU)")
            gaussian = row_with(rows, "Gaussian, full covariance")
            if gaussian:
                beside.append(f"{gaussian[1]}: full-covariance Gaussian")
            lines.append(f"| {data}, {train.split()[0]} | **{ours[1]}**, [{config}](jobs/{config}) | {ours[4]}, "
                         f"{ours[5]} | {'; '.join(beside)} |")
    machine = re.search(r"(?m)^(Machine: .*)$", pages[0]).group(1)
    note = re.search(r"(?m)^Note: (.*)$", pages[0])
    lines += ["", note.group(1)] if note else []
    return lines + ["", "`+-` is the standard error over test images; for several seeds, the standard deviation over seeds.", machine]


def write(readme, pages):
    """Puts the table of `pages` between the marks of `readme`; False if it has none."""
    with open(readme) as file:
        text = file.read()
    if BEGIN not in text:
        return False
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(readme, "w") as file:
        file.write(before + "\n".join([BEGIN, *table(pages), END]) + after)
    return True


def picture(folder, images):
    """front.png in `folder`: its toy densities above the first two grids of samples and the first curve of `images`."""
    import matplotlib.pyplot as plt
    import numpy
    from results_page import plots

    def read(path, inches=None):
        image = plt.imread(path)[..., :3]
        return image[:, :round(inches * plots.DPI)] if inches else image

    def beside(*images):
        height = max(image.shape[0] for image in images)
        return numpy.concatenate([padded(image, height, image.shape[1]) for image in images], axis=1)

    def padded(image, height, width):
        canvas = numpy.ones((height, width, 3), image.dtype)
        top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
        canvas[top:top + image.shape[0], left:left + image.shape[1]] = image
        return canvas

    above = read(os.path.join(folder, "toys.png"))
    below = beside(read(os.path.join(images, "samples.png"), 2 * plots.GRID_INCHES),
                   read(os.path.join(images, "curves.png"), plots.CURVE_INCHES - 0.1))
    width = max(above.shape[1], below.shape[1])
    whole = numpy.concatenate([padded(part, part.shape[0], width) for part in (above, below)])
    plt.imsave(os.path.join(folder, "front.png"), whole)
