# Checks a report: page.py PAGE TABLE. Elements close, names are unique, nothing is loaded, and the points of the pictures stand
# where the table's numbers are, on axes that are straight in log x and in top-1.
import html.parser, math, re, sys

class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.names, self.pictures, self.plot = [], [], [], None
    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if tag not in ('meta', 'br', 'img'): self.open.append(tag)
        if 'id' in a: self.names.append(a['id'])
        assert 'src' not in a and not a.get('href', '#').startswith('http') and a.get('xlink:href', '#')[0] == '#'
        if tag == 'svg': self.pictures.append({})
        if tag == 'g' and '_plot_' in a.get('id', ''): self.plot = 'next'
        if tag == 'use' and self.plot:
            x, y = re.match(r'translate\(([\d.]+),([\d.]+)\)', a['transform']).groups()
            self.pictures[-1].setdefault(self.plot, []).append((float(x), float(y)))
    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)
    def handle_endtag(self, tag):
        if tag not in ('meta', 'br', 'img'): assert self.open.pop() == tag, tag
        if tag == 'svg': self.plot = None
    def handle_data(self, data):
        if self.plot == 'next' and self.open[-1] == 'title': self.plot = data

page = Page()
page.feed(open(sys.argv[1]).read())
assert not page.open and len(set(page.names)) == len(page.names)
lines = [line.rstrip('\n').split('\t') for line in open(sys.argv[2]) if line[0] != '#']
table = [dict(zip(lines[0], line)) for line in lines[1:]]
labels = {'psm': 'sparse product', 'dense': 'dense', 'sss': 'SSS', 'lowrank': 'low rank', 'pruned': 'pruned'}

def straight(pairs):
    (a, p), (b, q) = min(pairs), max(pairs)
    return (p != q or a == b) and all(abs(p + (q - p) * (x - a) / ((b - a) or 1) - y) < .05 for x, y in pairs)

for picture, column in zip(page.pictures, ['bytes', 'us']):
    dense, *others = table
    others = [row for row in others if not row['why not']]
    groups = {'before': [dense], 'chosen': [row for row in others if row['chosen'] == '1']}
    for row in others: groups.setdefault(labels[row['type']], []).append(row)
    assert groups.keys() == picture.keys(), (groups.keys(), picture.keys())
    assert all(len(groups[k]) == len(picture[k]) for k in groups)
    both = [pair for k in groups for pair in zip(groups[k], picture[k])]
    assert straight([(math.log(float(row[column])), x) for row, (x, y) in both]), column
    assert straight([(float(row['top1']), y) for row, (x, y) in both]), 'top1'
print(len(page.pictures))
