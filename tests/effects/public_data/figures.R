# Writes figures.json, the figures of R for anes96.csv. Run in this folder: Rscript figures.R
suppressMessages({library(clubSandwich); library(lme4); library(emmeans)})
d <- read.csv("anes96.csv")
d$ClinLR <- 8 - d$ClinLR # turned, so that all four go together
runs <- c("selfLR", "PID", "ClinLR", "DoleLR") # (x, 1), (y, 1), (x, 2), (y, 2) of the factors a and b
differences <- function(d) with(d, list( # of each respondent
  level = PID - selfLR, a = (PID - selfLR + DoleLR - ClinLR) / 2, b = (ClinLR - selfLR + DoleLR - PID) / 2,
  interaction = (DoleLR - ClinLR) - (PID - selfLR)
))

# Student's t of one sample, or Welch's of two.
student <- function(x, y = NULL) {
  test <- t.test(x, y)
  list(estimate = -diff(c(test$estimate, if (is.null(y)) 0))[[1]], se = test$stderr, df = test$parameter[[1]],
       p = test$p.value, low = test$conf.int[1], high = test$conf.int[2])
}

# CR2 with the identity as working model, and Bell and McCaffrey's degrees of freedom; `term` of the coefficients.
robust <- function(fit, cluster, term = 1) {
  test <- coef_test(fit, vcov = "CR2", cluster = cluster, test = "Satterthwaite")
  interval <- conf_int(fit, vcov = "CR2", cluster = cluster, level = 0.95, test = "Satterthwaite")
  list(estimate = test$beta[term], se = test$SE[term], df = test$df_Satt[term], p = test$p_Satt[term],
       low = interval$CI_L[term], high = interval$CI_U[term])
}

# A weighted mean: the regression of y on 1 with both sides times the root of the weight, through the origin.
weighted <- function(y, weight, cluster) {
  robust(lm(y ~ 0 + x, data.frame(y = y * sqrt(weight), x = sqrt(weight))), cluster)
}

marginal <- function(fit, at, method = "revpairwise", ...) {
  row <- summary(contrast(emmeans(fit, at, ...), method), infer = TRUE)[1, ]
  list(estimate = row$estimate, se = row$SE, df = row$df, p = row$p.value, low = row$lower.CL, high = row$upper.CL)
}

# Four scores of a respondent with a covariance that nothing restricts.
free <- lm(as.matrix(d[runs]) ~ 1)
of_free <- function(at, method = "revpairwise") {
  marginal(free, at, method, mult.levs = list(a = c("x", "y"), b = c("1", "2")))
}

# Mixed models, the optimum looked for to the last digits.
exactly <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
mixed <- function(x, y) {
  long <- data.frame(respondent = rep(d$respondent, 2), level = rep(c("x", "y"), each = nrow(d)), score = c(x, y))
  marginal(lmer(score ~ level + (1 | respondent), long, control = exactly), ~ level)
}
two_seeds <- data.frame( # of two cells: runs (x, 1) and (y, 1), runs (x, 2) and (y, 2)
  score = unlist(d[runs]), respondent = rep(d$respondent, 4), cell = rep(c("1", "2"), each = 2 * nrow(d)),
  run = rep(runs, each = nrow(d))
)
recipe <- lmer(score ~ cell + (1 | respondent) + (1 | respondent:cell) + (1 | run), two_seeds, control = exactly)

by_size <- ave(d$popul, d$popul, FUN = seq_along) <= 9 & ave(d$popul, d$popul, FUN = length) >= 9
nine <- d[by_size, ]
is_large <- d$popul >= 500
of_place <- tapply(d$PID, d$popul, mean)
seeds <- function(x, y) student(of_place[as.character(y)], of_place[as.character(x)])[c("estimate", "se")]

figures <- list(
  items = lapply(differences(d), student),
  clusters = lapply(differences(d), function(y) robust(lm(y ~ 1), d$popul)),
  equal_clusters = lapply(differences(nine), function(y) robust(lm(y ~ 1), nine$popul)),
  multivariate = list(
    level = of_free(~ a | b), a = of_free(~ a), b = of_free(~ b),
    interaction = of_free(~ a * b, list(interaction = c(1, -1, -1, 1)))
  ),
  mixed = with(d, list(
    level = mixed(selfLR, PID), a = mixed((selfLR + ClinLR) / 2, (PID + DoleLR) / 2),
    b = mixed((selfLR + PID) / 2, (ClinLR + DoleLR) / 2)
  )),
  unpaired = list(
    items = student(d$PID[is_large], d$PID[!is_large]),
    clusters = robust(lm(PID ~ is_large, d), d$popul, term = 2)[c("estimate", "se")]
  ),
  weighted = list(
    items = weighted(d$PID - d$selfLR, d$age, d$respondent), clusters = weighted(d$PID - d$selfLR, d$age, d$popul)
  ),
  seeds = list(
    "3 and 3" = seeds(c(7300, 900, 640), c(1600, 350, 290)), "4 and 2" = seeds(c(7300, 900, 640, 1600), c(350, 290))
  ),
  recipe = marginal(recipe, ~ cell)[c("estimate", "se")]
)

# JSON with 17 digits, which is what a double has.
json <- function(x, indent = "") {
  if (!is.list(x)) return(if (is.character(x)) dQuote(x, FALSE) else sprintf("%.17g", x))
  deeper <- paste0(indent, "  ")
  of_name <- sapply(names(x), function(name) paste0(deeper, dQuote(name, FALSE), ": ", json(x[[name]], deeper)))
  paste0("{\n", paste(of_name, collapse = ",\n"), "\n", indent, "}")
}
packages <- sapply(c("clubSandwich", "lme4", "emmeans", "pbkrtest"), function(name) as.character(packageVersion(name)))
write(json(list(versions = c(list(R = as.character(getRversion())), as.list(packages)), figures = figures)), "figures.json")
