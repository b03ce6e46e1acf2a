// What a search puts first: a page or heading with all the words in its title, so that a rule's ID leads to the rule; and a
// site's profile, which names nearly everything once, comes behind the pages that explain it. The numbers are Sphinx's own.
var Scorer = {
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: {0: 15, 1: 5, 2: -5},
  objPrioDefault: 0,
  score: ([page, title, anchor, description, score]) => {
    const words = new URLSearchParams(window.location.search).get("q").toLowerCase().split(/\s+/);
    const named = words.every((word) => title.toLowerCase().includes(word));
    return (named ? score + 20 : score) / (page.startsWith("reference/site-profiles/") ? 2 : 1);
  },
};
